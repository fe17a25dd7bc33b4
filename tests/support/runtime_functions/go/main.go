package main

import (
	"context"
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type QuotaExceeded struct{ text string }

func (e QuotaExceeded) Error() string { return e.text }

type event map[string]any

func main() {
	if _, fail := os.LookupEnv("FAIL_INIT"); fail {
		os.Exit(3)
	}
	if slow, err := strconv.ParseFloat(os.Getenv("SLOW_INIT_S"), 64); err == nil {
		time.Sleep(time.Duration(slow * float64(time.Second)))
	}
	lambda.Start(handle)
}

func handle(ctx context.Context, in event) (any, error) {
	switch in["do"] {
	case "raise":
		return []int{}[len(in)], nil
	case "custom":
		return nil, QuotaExceeded{"no more"}
	case "sleep":
		time.Sleep(time.Duration(in["seconds"].(float64) * float64(time.Second)))
	case "exit":
		os.Exit(int(in["code"].(float64)))
	case "grow":
		held := [][]byte{}
		for {
			block := make([]byte, 8<<20)
			for i := range block {
				block[i] = 'x'
			}
			held = append(held, block)
		}
	case "context":
		return fields(ctx)
	case "tmp":
		count := 1
		if text, err := os.ReadFile("/tmp/count"); err == nil {
			before, _ := strconv.Atoi(string(text))
			count = before + 1
		}
		return count, os.WriteFile("/tmp/count", []byte(strconv.Itoa(count)), 0o600)
	}
	return in, nil
}

func fields(ctx context.Context) (any, error) {
	found, ok := lambdacontext.FromContext(ctx)
	deadline, timed := ctx.Deadline()
	if !ok || !timed {
		return nil, errors.New("no context")
	}
	return map[string]any{
		"stage":        os.Getenv("STAGE"),
		"region":       os.Getenv("AWS_REGION"),
		"name":         lambdacontext.FunctionName,
		"version":      lambdacontext.FunctionVersion,
		"memory":       lambdacontext.MemoryLimitInMB,
		"request_id":   found.AwsRequestID,
		"arn":          found.InvokedFunctionArn,
		"remaining_ms": time.Until(deadline).Milliseconds(),
	}, nil
}
