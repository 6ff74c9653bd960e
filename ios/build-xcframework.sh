#!/bin/sh
# Compiles the native core for iPhones: CSphereEdge.xcframework beside this script, which the Swift package links.
#
# Arguments: the engines (tvm llama whisper diffusion); none: all of them. Needs a Mac with Xcode, cmake, and a python3 that has
# sphere-edge with its extra `build`, which fetches the sources of the engines. BUILD_FOLDER keeps what was compiled.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
native=$here/../native
python=${PYTHON:-python3}
build=${BUILD_FOLDER:-$here/build}
[ $# -gt 0 ] || set -- tvm llama whisper diffusion

mkdir -p "$build"
"$python" -c 'import sys; from sphere_edge.sdk import core; print(core.for_xcode(*sys.argv[1:]))' "$@" >"$build/definitions"
set --
while IFS= read -r definition; do set -- "$@" "$definition"; done <"$build/definitions"

cmake -S "$native" -B "$build" -G 'Unix Makefiles' -DCMAKE_SYSTEM_NAME=iOS -DCMAKE_OSX_ARCHITECTURES=arm64 \
  -DCMAKE_OSX_DEPLOYMENT_TARGET=17.0 -DCMAKE_BUILD_TYPE=Release -DSE_STATIC=ON -DSE_STARTER=ON "$@"
# Everything of these kinds is linked, and so nothing of an earlier build may be left.
outputs() { find "$build" \( -name '*.a' -o -path '*se_tvm_runtime.dir*' -name '*.o' \) "$@"; }
outputs -delete
cmake --build "$build" -j "$(sysctl -n hw.ncpu)"

outputs | while IFS= read -r file; do printf '"%s"\n' "$file"; done >"$build/inputs"
xargs xcrun --sdk iphoneos ld -r -arch arm64 -all_load -o "$build/core.o" <"$build/inputs"

"$python" -c 'import sys; from pathlib import Path; from sphere_edge.sdk import core_framework; print(core_framework.write(*map(Path, sys.argv[1:])))' \
  "$build/core.o" "$native/include/sphere_edge.h" "$here"
