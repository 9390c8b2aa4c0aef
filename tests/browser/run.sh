#!/bin/sh
# Sets up what the scripts here need, in a directory of its own that is gone afterwards, and runs them.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
command -v node >/dev/null || { echo "this test needs Node.js 20 or later" >&2; exit 1; }
for name in chromium chromium-browser google-chrome; do
    browser=$(command -v "$name") && break
done
[ -n "$browser" ] || { echo "this test needs Chromium: apt-get install chromium" >&2; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp "$here"/*.mjs "$scratch"
cd "$scratch"
npm install --silent --no-save --no-audit --no-fund playwright-core@1
node old_page.mjs "$root/target/debug/carillon" --chromium "$browser"
node any_node.mjs "$root/target/debug/carillon" "$root/static/js/websocket-client.js" --chromium "$browser"
node two_windows.mjs "$root/target/debug/carillon" --chromium "$browser" "$@"
