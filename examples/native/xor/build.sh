#!/usr/bin/env bash
# Builds the example component: examples/native/xor/build.sh [FOLDER]   makes FOLDER/comanche-xor.so (default: data/components of the checkout).
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
out="${1:-$here/../../../data/components}"
mkdir -p "$out"
"${CXX:-c++}" -std=c++17 -O2 -fPIC -shared -fvisibility=hidden -Wall -Wextra -Wpedantic -Werror \
    -I "$here/../../../native" "$here/xor.cpp" -o "$out/comanche-xor.so.$$"
mv "$out/comanche-xor.so.$$" "$out/comanche-xor.so"
echo "$out/comanche-xor.so"
