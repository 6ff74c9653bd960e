// A prompt and the image that comes of it.
import CoreGraphics
import Foundation
import Observation
import SphereEdge
import SwiftUI

@MainActor @Observable
final class ImageModel {
  static let shared = ImageModel()

  private(set) var image: CGImage?
  private(set) var note = ""
  private(set) var isRunning = false
  private var running: Task<Void, Never>?

  func generate(_ prompt: String) {
    guard !isRunning, !prompt.isEmpty else { return }
    isRunning = true
    running = Task {
      do {
        let model = try await Models.openImage()
        for try await event in model.generate(prompt) {
          switch event {
          case .progress(let progress): note = "step \(progress.step) of \(progress.steps)"
          case .image(let made): image = Self.shown(made)
          case .finished(let result): note = "\((result.totalSeconds * 10).rounded() / 10) s, seed \(result.seed)"
          }
        }
      } catch {
        if !Task.isCancelled { note = sentence(error) }
      }
      isRunning = false
    }
  }

  func stop() { running?.cancel() }

  /// Three bytes per pixel, rows from the top.
  private static func shown(_ made: GeneratedImage) -> CGImage? {
    guard let provider = CGDataProvider(data: made.pixels as CFData) else { return nil }
    return CGImage(
      width: made.width, height: made.height, bitsPerComponent: 8, bitsPerPixel: 24, bytesPerRow: made.width * 3,
      space: CGColorSpaceCreateDeviceRGB(), bitmapInfo: CGBitmapInfo(rawValue: CGImageAlphaInfo.none.rawValue),
      provider: provider, decode: nil, shouldInterpolate: true, intent: .defaultIntent)
  }
}

struct ImageScreen: View {
  private let model = ImageModel.shared
  @State private var prompt = ""

  var body: some View {
    VStack {
      TextField("Prompt", text: $prompt).textFieldStyle(.roundedBorder)
      if model.isRunning {
        Button("Stop") { model.stop() }
      } else {
        Button("Generate") { model.generate(prompt) }
      }
      Text(model.note).font(.caption)
      if let image = model.image {
        Image(decorative: image, scale: 1).resizable().scaledToFit()
      }
    }
    .padding()
  }
}
