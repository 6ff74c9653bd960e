// ImageManager: images from prompts by diffusion models, from a bundle folder.
import CSphereEdge
import Foundation

/// What was opened; sizes, steps and scales are the model's own, used unless others are given.
public struct ImageInfo: Sendable, Hashable, Decodable {
  public let engine: String
  public let backend: String
  public let family: String
  public let quantization: String
  public let parameters: Int
  public let width: Int
  public let height: Int
  public let steps: Int
  public let cfgScale: Double
  public let guidance: Double
  public let sizeMultiple: Int
  public let readsImages: Bool
  public let inpaints: Bool
  public let threads: Int
  public let weightsBytes: Int
  public let loadSeconds: Double
}

/// An image: rows from the top, 3 bytes per pixel in the order RGB.
public struct GeneratedImage: Sendable, Hashable {
  public let width: Int
  public let height: Int
  /// Generates it again on its own.
  public let seed: Int
  public let pixels: Data

  init(_ filled: se_image_bitmap) {
    width = Int(filled.width)
    height = Int(filled.height)
    seed = Int(filled.seed)
    pixels = Data(bytes: filled.pixels, count: Int(filled.width) * Int(filled.height) * Int(filled.channels))
  }
}

/// So many steps of an image of the batch are done.
public struct ImageProgress: Sendable, Hashable {
  /// From 0.
  public let image: Int
  public let images: Int
  public let step: Int
  public let steps: Int
  /// Small and approximate, if the request asks for it.
  public let preview: GeneratedImage?

  init(_ filled: se_image_progress) {
    image = Int(filled.image)
    images = Int(filled.images)
    step = Int(filled.step)
    steps = Int(filled.steps)
    preview = filled.preview.map { GeneratedImage($0.pointee) }
  }
}

/// How a generation went.
public struct ImageResult: Sendable, Hashable {
  /// Of the first image.
  public let seed: Int
  public let images: Int
  public let totalSeconds: Double
  public let stepSeconds: Double

  init(_ filled: se_image_result) {
    seed = Int(filled.seed)
    images = Int(filled.images)
    totalSeconds = filled.total_seconds
    stepSeconds = filled.step_seconds
  }
}

/// What a generation gives.
public enum ImageEvent: Sendable, Hashable {
  case progress(ImageProgress)
  case image(GeneratedImage)
  case finished(ImageResult)
}

/// An image model that is open. A process generates one image at a time. The rest is as with TextManager.
public actor ImageManager {
  public nonisolated let info: ImageInfo
  public nonisolated var unownedExecutor: UnownedSerialExecutor { model.executor.asUnownedSerialExecutor() }
  private nonisolated let model: Model<ImageInfo>

  private init(_ model: Model<ImageInfo>) {
    info = model.info
    self.model = model
  }

  /// Opens a bundle folder of the task image. `threads` 0: one per performance core. `trustedKeys`: as in
  /// `TextOpenOptions`.
  public static func open(
    _ path: URL, threads: Int = 0, trustedKeys: String? = nil
  ) async throws -> ImageManager {
    let model = try await Model<ImageInfo>.opened(.image) { memory, opened in
      var options = se_image_open_options()
      options.size = MemoryLayout<se_image_open_options>.size
      options.threads = try fitted("threads", threads, Int32.self)
      options.trusted_keys = try memory.string("trustedKeys", optional: trustedKeys)
      return se_image_open(try memory.string("the path", path.path), &options, &opened)
    }
    return ImageManager(model)
  }

  /// Generates images, with progress after each step.
  public nonisolated func generate(
    _ prompt: String, _ request: ImageRequest = .init()
  ) -> AsyncThrowingStream<ImageEvent, any Error> {
    model.stream { model, memory, emitter in
      let words = try memory.string("the prompt", prompt)
      var options = se_image_generate_options()
      try check(se_image_default_options(model, &options, MemoryLayout<se_image_generate_options>.size))
      try request.fill(&options, memory)
      options.on_progress = { progress, receiver in
        guard let at = progress?.pointee else { return false }
        return Emitter<ImageEvent>.of(receiver).emit(.progress(ImageProgress(at)))
      }
      var result = se_image_result()
      result.size = MemoryLayout<se_image_result>.size
      try check(
        se_image_generate(
          model, words, &options,
          { bitmap, receiver in
            guard let bitmap else { return false }
            return Emitter<ImageEvent>.of(receiver).emit(.image(GeneratedImage(bitmap.pointee)))
          }, emitter.pointer, &result))
      emitter.end(with: .finished(ImageResult(result)))
    }
  }

  /// Ends the running call, which throws `cancelled`; any thread.
  public nonisolated func cancel() {
    model.handle.cancel()
  }

  /// Ends the running call, waits for it, and frees the model; a second time it does nothing.
  public nonisolated func close() async {
    await model.close()
  }
}
