// swift-tools-version: 6.0
// The Swift package of sphere-edge; on Linux, where it is tested, it links the libsphere_edge of that machine.
import PackageDescription

#if os(Linux)
  // A library that the linker finds: swift build -Xlinker -LFOLDER.
  let core = Target.systemLibrary(name: "CSphereEdge")
#else
  // A build of native/ that nothing here makes yet: docs/ios.md.
  let core = Target.binaryTarget(name: "CSphereEdge", path: "CSphereEdge.xcframework")
#endif

let package = Package(
  name: "SphereEdge",
  platforms: [.iOS(.v17), .macOS(.v14)],
  products: [.library(name: "SphereEdge", targets: ["SphereEdge"])],
  targets: [
    core,
    .target(name: "SphereEdge", dependencies: ["CSphereEdge"]),
    .testTarget(name: "SphereEdgeTests", dependencies: ["SphereEdge"]),
  ],
  swiftLanguageModes: [.v6]
)
