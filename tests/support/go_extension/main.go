// An external extension as people write them in Go: registers, prints every event, ends with SHUTDOWN.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2020-01-01/extension/"
	register, _ := http.NewRequest("POST", api+"register", strings.NewReader(`{"events":["INVOKE","SHUTDOWN"]}`))
	register.Header.Set("Lambda-Extension-Name", filepath.Base(os.Args[0]))
	answer, err := http.DefaultClient.Do(register)
	if err != nil || answer.StatusCode != 200 {
		panic(fmt.Sprint("not registered: ", answer, err))
	}
	identifier := answer.Header.Get("Lambda-Extension-Identifier")
	for {
		next, _ := http.NewRequest("GET", api+"event/next", nil)
		next.Header.Set("Lambda-Extension-Identifier", identifier)
		answer, err := http.DefaultClient.Do(next)
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		fmt.Println("EVENT", string(body))
		var event struct{ EventType string }
		json.Unmarshal(body, &event)
		if event.EventType == "SHUTDOWN" {
			return
		}
	}
}
