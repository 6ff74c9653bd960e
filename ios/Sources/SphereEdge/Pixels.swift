// Images as bytes, as models take and make them; from and to Apple's images.
import CSphereEdge
import Foundation

#if canImport(CoreGraphics)
  import CoreGraphics
#endif
#if canImport(UIKit)
  import UIKit
#endif

/// Rows from the top, without gaps: `channels` bytes per pixel, 3 in the order RGB, 1 for a mask.
public struct Pixels: Sendable, Hashable, Codable {
  // As much as the core takes of a chat.
  private static let mostOnASide = 16384
  public let width: Int
  public let height: Int
  public let channels: Int
  public let bytes: Data

  /// Throws `invalidArgument` for bytes that are not so many pixels.
  public init(width: Int, height: Int, channels: Int = 3, bytes: Data) throws {
    let sides = 1...Self.mostOnASide
    guard sides.contains(width), sides.contains(height), [1, 3].contains(channels), bytes.count == width * height * channels
    else {
      throw SphereEdgeError(
        .invalidArgument, "`\(bytes.count)` bytes are not \(width) x \(height) pixels of \(channels)",
        hint: "give 3 bytes for each pixel, or 1 of a mask, and at most \(Self.mostOnASide) pixels on a side")
    }
    self.width = width
    self.height = height
    self.channels = channels
    self.bytes = bytes
  }

  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    try self.init(
      width: values.decode(Int.self, forKey: .width), height: values.decode(Int.self, forKey: .height),
      channels: values.decode(Int.self, forKey: .channels), bytes: values.decode(Data.self, forKey: .bytes))
  }

  /// A generated image, to change it further.
  public init(_ image: GeneratedImage) throws {
    try self.init(width: image.width, height: image.height, bytes: image.pixels)
  }
}

extension Memory {
  /// The bytes of `pixels`, which must have so many channels.
  func pixels(_ what: String, _ pixels: Pixels, channels: Int) throws -> UnsafePointer<UInt8>? {
    guard pixels.channels == channels else {
      throw SphereEdgeError(.invalidArgument, "\(what) has \(channels) bytes per pixel, not `\(pixels.channels)`")
    }
    return bytes(pixels.bytes)
  }
}

#if canImport(CoreGraphics)
  extension Pixels {
    /// RGB of an image; what is transparent is put on white. Throws `invalidArgument` for sizes that it cannot have.
    public init(_ image: CGImage) throws {
      let place = CGRect(x: 0, y: 0, width: image.width, height: image.height)
      guard
        let context = CGContext(
          data: nil, width: image.width, height: image.height, bitsPerComponent: 8, bytesPerRow: image.width * 4,
          space: CGColorSpaceCreateDeviceRGB(), bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
      else {
        throw SphereEdgeError(.invalidArgument, "an image of \(image.width) x \(image.height) pixels cannot be drawn")
      }
      context.setFillColor(red: 1, green: 1, blue: 1, alpha: 1)
      context.fill(place)
      context.draw(image, in: place)
      let drawn = UnsafeRawBufferPointer(start: context.data, count: image.width * image.height * 4)
      var rgb = [UInt8](repeating: 0, count: drawn.count / 4 * 3)
      for pixel in 0..<drawn.count / 4 {
        for channel in 0..<3 { rgb[3 * pixel + channel] = drawn[4 * pixel + channel] }
      }
      try self.init(width: image.width, height: image.height, bytes: Data(rgb))
    }

    /// For the screen.
    public var cgImage: CGImage? {
      guard let provider = CGDataProvider(data: bytes as CFData) else { return nil }
      let space = channels == 1 ? CGColorSpaceCreateDeviceGray() : CGColorSpaceCreateDeviceRGB()
      return CGImage(
        width: width, height: height, bitsPerComponent: 8, bitsPerPixel: 8 * channels, bytesPerRow: width * channels,
        space: space, bitmapInfo: CGBitmapInfo(rawValue: CGImageAlphaInfo.none.rawValue), provider: provider, decode: nil,
        shouldInterpolate: true, intent: .defaultIntent)
    }
  }
#endif

#if canImport(UIKit)
  extension Pixels {
    /// RGB of a photo, turned as people see it. Throws `invalidArgument` for an image without pixels.
    public init(_ image: UIImage) throws {
      let format = UIGraphicsImageRendererFormat()
      format.scale = image.scale
      let upright = UIGraphicsImageRenderer(size: image.size, format: format).image { _ in
        image.draw(in: CGRect(origin: .zero, size: image.size))
      }
      guard let drawn = upright.cgImage else {
        throw SphereEdgeError(.invalidArgument, "the image has no pixels")
      }
      try self.init(drawn)
    }
  }
#endif
