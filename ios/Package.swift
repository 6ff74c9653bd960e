// swift-tools-version: 6.0
// The Swift package of sphere-edge; on Linux, where it is tested, it links the libsphere_edge of that machine.
import PackageDescription

#if os(Linux)
  // A library that the linker finds: swift build -Xlinker -LFOLDER.
  let core = Target.systemLibrary(name: "CSphereEdge")
#else
  // Made on a Mac by ios/build-xcframework.sh: docs/ios.md.
  let core = Target.binaryTarget(name: "CSphereEdge", path: "CSphereEdge.xcframework")
#endif

let package = Package(
  name: "SphereEdge",
  platforms: [.iOS(.v17), .macOS(.v14)],
  products: [
    .library(name: "SphereEdge", targets: ["SphereEdge"]),
    .library(name: "SphereEdgeFoundationModels", targets: ["SphereEdgeFoundationModels"]),
  ],
  targets: [
    core,
    .target(name: "SphereEdge", dependencies: ["CSphereEdge"]),
    // Empty before the SDK of iOS 27, so that apps for older systems have nothing to do with it.
    .target(name: "SphereEdgeFoundationModels", dependencies: ["SphereEdge"]),
    .testTarget(name: "SphereEdgeTests", dependencies: ["SphereEdge"]),
  ],
  swiftLanguageModes: [.v6]
)
