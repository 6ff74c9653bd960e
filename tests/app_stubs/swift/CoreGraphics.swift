import Foundation
import SwiftUI

public typealias CFData = Data
public final class CGColorSpace {}
public func CGColorSpaceCreateDeviceRGB() -> CGColorSpace { fatalError("a stub") }
public enum CGImageAlphaInfo: UInt32 { case none }
public enum CGColorRenderingIntent { case defaultIntent }

public struct CGBitmapInfo: OptionSet {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
}

public final class CGDataProvider {
  public init?(data: CFData) { nil }
}

public final class CGImage: Sendable {
  public init?(
    width: Int, height: Int, bitsPerComponent: Int, bitsPerPixel: Int, bytesPerRow: Int, space: CGColorSpace,
    bitmapInfo: CGBitmapInfo, provider: CGDataProvider, decode: UnsafePointer<CGFloat>?, shouldInterpolate: Bool,
    intent: CGColorRenderingIntent
  ) { nil }
}

extension Image {
  public nonisolated init(decorative cgImage: CGImage, scale: CGFloat) { fatalError("a stub") }
}
