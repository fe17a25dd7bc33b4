handler() {
  echo "got: $1" >&2
  echo "{\"shell\": $1}"
}
