#!/bin/sh
# Compiles the native core for iPhones: SphereEdge/ios/CSphereEdge.xcframework, which the Swift package links.
#
# Needs a Mac with Xcode, cmake, and a python3 that has sphere-edge, which fetches the sources of the engines.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
build=${BUILD_FOLDER:-$here/build}

"$python" -c 'import sys; from sphere_edge.sdk import core; print(core.for_xcode(*sys.argv[1:]))' {{ engines }} >"$here/.definitions"
set --
while IFS= read -r definition; do set -- "$@" "$definition"; done <"$here/.definitions"
rm "$here/.definitions"

cmake -S "$here/native" -B "$build" -G 'Unix Makefiles' -DCMAKE_SYSTEM_NAME=iOS -DCMAKE_OSX_ARCHITECTURES=arm64 \
  -DCMAKE_OSX_DEPLOYMENT_TARGET=17.0 -DCMAKE_BUILD_TYPE=Release -DSE_STATIC=ON -DSE_STARTER=ON "$@"
cmake --build "$build" -j "$(sysctl -n hw.ncpu)"

# One object of everything: what registers itself stays, and whoever calls one function gets all of it.
rm -rf "$build/all" "$here/ios/CSphereEdge.xcframework"
mkdir -p "$build/all/include/CSphereEdge"
find "$build" -name '*.a' -o -path '*se_tvm_runtime.dir*' -name '*.o' | while IFS= read -r file; do printf '"%s"\n' "$file"; done >"$build/all/inputs"
xargs xcrun --sdk iphoneos ld -r -arch arm64 -all_load -o "$build/all/core.o" <"$build/all/inputs"
xcrun --sdk iphoneos libtool -static -o "$build/all/libCSphereEdge.a" "$build/all/core.o"

cp "$here/native/include/sphere_edge.h" "$build/all/include/CSphereEdge/"
printf 'module CSphereEdge {\n  header "sphere_edge.h"\n  export *\n}\n' >"$build/all/include/CSphereEdge/module.modulemap"
xcodebuild -create-xcframework -library "$build/all/libCSphereEdge.a" -headers "$build/all/include" \
  -output "$here/ios/CSphereEdge.xcframework"
