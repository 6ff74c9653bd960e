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
}

/// How a generation went.
public struct ImageResult: Sendable, Hashable {
  /// Of the first image.
  public let seed: Int
  public let images: Int
  public let totalSeconds: Double
  public let stepSeconds: Double
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
  public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
  private let executor: EngineExecutor
  private nonisolated let handle: Handle

  private init(_ executor: EngineExecutor, _ handle: Handle, _ info: ImageInfo) {
    self.executor = executor
    self.handle = handle
    self.info = info
  }

  /// Opens a bundle folder of the task image. `threads` 0: one per performance core.
  public static func open(_ path: URL, threads: Int = 0) async throws -> ImageManager {
    let executor = EngineExecutor()
    let (handle, info) = try await executor.run {
      let memory = Memory()
      defer { memory.free() }
      var options = se_image_open_options()
      options.size = MemoryLayout<se_image_open_options>.size
      options.threads = try fitted("threads", threads, Int32.self)
      var opened: OpaquePointer?
      try check(se_image_open(try memory.string("the path", path.path), &options, &opened))
      guard let opened else { throw SphereEdgeError(.internal, "the runtime opened nothing") }
      let handle = Handle(.image, opened)
      return (handle, try decoded(ImageInfo.self, taken { se_image_info(opened, $0) }))
    }
    return ImageManager(executor, handle, info)
  }

  /// Generates images, with progress after each step.
  public nonisolated func generate(
    _ prompt: String, _ request: ImageRequest = .init()
  ) -> AsyncThrowingStream<ImageEvent, any Error> {
    let call = Call()
    return AsyncThrowingStream { events in
      events.onTermination = { [handle] reason in
        if case .cancelled = reason { handle.stop(call) }
      }
      Task { await self.generate(call, prompt, request, events) }
    }
  }

  /// Ends the running call, which throws `cancelled`; any thread.
  public nonisolated func cancel() {
    handle.cancel()
  }

  /// Ends the running call, waits for it, and frees the model; a second time it does nothing.
  public nonisolated func close() async {
    handle.beginClosing()
    await free()
  }

  private func free() {
    handle.close()
  }

  private func generate(
    _ call: Call, _ prompt: String, _ request: ImageRequest,
    _ events: AsyncThrowingStream<ImageEvent, any Error>.Continuation
  ) {
    do {
      try handle.run(call) { model in
        let memory = Memory()
        defer { memory.free() }
        let words = try memory.string("the prompt", prompt)
        var options = se_image_generate_options()
        try check(se_image_default_options(model, &options, MemoryLayout<se_image_generate_options>.size))
        try request.fill(&options, memory)
        options.on_progress = { progress, receiver in
          guard let at = progress?.pointee else { return false }
          return Emitter<ImageEvent>.of(receiver).emit(
            .progress(
              ImageProgress(image: Int(at.image), images: Int(at.images), step: Int(at.step), steps: Int(at.steps))))
        }
        var result = se_image_result()
        result.size = MemoryLayout<se_image_result>.size
        let emitter = Emitter(call, events)
        let status = withExtendedLifetime(emitter) {
          se_image_generate(
            model, words, &options,
            { bitmap, receiver in
              guard let bitmap else { return false }
              return Emitter<ImageEvent>.of(receiver).emit(.image(GeneratedImage(bitmap.pointee)))
            }, emitter.pointer, &result)
        }
        try check(status)
        events.yield(
          .finished(
            ImageResult(
              seed: Int(result.seed), images: Int(result.images), totalSeconds: result.total_seconds,
              stepSeconds: result.step_seconds)))
      }
      events.finish()
    } catch {
      events.finish(throwing: error)
    }
  }
}
