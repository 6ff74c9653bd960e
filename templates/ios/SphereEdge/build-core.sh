#!/bin/sh
# Compiles the native core with the engines of this app's bundles, once: SphereEdge/ios/CSphereEdge.xcframework.
#
# What it needs: SphereEdge/ios/build-xcframework.sh.
set -eu
exec sh "$(dirname "$0")/ios/build-xcframework.sh" {{ engines }}
