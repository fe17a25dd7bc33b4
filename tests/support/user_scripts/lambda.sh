#!/usr/bin/env bash
# What somebody does with the AWS CLI and nothing else, one command for each group of the Lambda API's control plane.
# Needs AWS_ENDPOINT_URL, keys and a region in the environment; $1: a zip with app.handler, which answers its event.
# Prints "done" at the end; any unexpected answer ends it.
set -euo pipefail
zip=$1 name=cli-function
expect() { [[ $1 == "$2" ]] || { echo "expected '$2', got '$1' (line ${BASH_LINENO[0]})" >&2; exit 1; }; }
fn() { aws lambda "$1" --function-name "$name" "${@:2}" --output text; }

# layers, functions, states
layer=$(aws lambda publish-layer-version --layer-name cli-layer --zip-file "fileb://$zip" --query LayerVersionArn \
  --output text)
fn create-function --layers "$layer" --runtime python3.11 --handler app.handler --role arn:aws:iam::000000000000:role/r \
  --zip-file "fileb://$zip" --tags made=cli --query FunctionName >/dev/null
aws lambda wait function-active-v2 --function-name "$name"
# invocations, synchronous and not
[[ $(fn invoke --payload '{"n":1}' /dev/stdout --query StatusCode) == *'{"n": 1}'* ]]
expect "$(fn invoke --invocation-type Event --query StatusCode /dev/null)" 202
# versions and aliases
expect "$(fn publish-version --query Version)" 1
fn create-alias --name live --function-version 1 --query AliasArn >/dev/null
expect "$(fn invoke --qualifier live --query ExecutedVersion /dev/null)" 1
# concurrency and asynchronous configuration
expect "$(fn put-function-concurrency --reserved-concurrent-executions 5)" 5
expect "$(fn put-function-event-invoke-config --maximum-retry-attempts 1 --query MaximumRetryAttempts)" 1
# policies, tags, limits
fn add-permission --statement-id s --action lambda:InvokeFunction --principal s3.amazonaws.com >/dev/null
[[ $(fn get-policy --query Policy) == *s3.amazonaws.com* ]]
expect "$(aws lambda list-tags --resource "arn:aws:lambda:us-east-1:000000000000:function:$name" \
  --query Tags.made --output text)" cli
expect "$(aws lambda get-account-settings --query AccountLimit.ConcurrentExecutions --output text)" 1000
# identity
expect "$(aws sts assume-role --role-arn arn:aws:iam::000000000000:role/r --role-session-name me \
  --query AssumedRoleUser.Arn --output text)" arn:aws:sts::000000000000:assumed-role/r/me
# front doors
[[ $(fn create-function-url-config --auth-type NONE --query FunctionUrl) == http* ]]
[[ $(aws apigatewayv2 create-api --name cli --protocol-type HTTP --query ApiEndpoint --output text \
  --target "arn:aws:lambda:us-east-1:000000000000:function:$name") == http*execute-api* ]]
# services that others serve
expect "$(aws sns create-topic --name cli --query TopicArn --output text)" arn:aws:sns:us-east-1:000000000000:cli
# errors are the CLI's own
[[ $(aws lambda get-function --function-name nope 2>&1 || true) == *ResourceNotFoundException* ]]
fn delete-function >/dev/null
aws lambda delete-layer-version --layer-name cli-layer --version-number 1
echo done
