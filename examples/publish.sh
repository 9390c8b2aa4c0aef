#!/bin/sh
# The server API with curl: one notification, what the user's inbox then says, who is online.
#
#   URL=http://127.0.0.1:8000 KEY=dev USER_ID=1 sh examples/publish.sh
set -eu

url=${URL:-http://127.0.0.1:8000}
key=${KEY:-dev}
user=${USER_ID:-1}

call() {
    method=$1 path=$2
    shift 2
    curl --silent --show-error --fail-with-body --request "$method" "$url/api/v1$path" \
        --header "Authorization: Bearer $key" --header 'Content-Type: application/json' "$@"
    echo
}

# The key makes a retry safe: the same key and body never create a second notification. --retry obeys Retry-After.
call POST /notifications \
    --header "Idempotency-Key: report-$$-$(date +%s)" --retry 4 --retry-connrefused \
    --data "{\"user_id\": \"$user\", \"title\": \"Your report is ready\", \"message\": \"Twelve pages.\", \"level\": \"success\"}"

call GET "/users/$user/notifications?limit=3"
call GET /presence
