// The microphone as blocks of samples at 16 kHz.
import AVFoundation
import SphereEdge

struct MicrophoneError: LocalizedError {
  let errorDescription: String?
}

@MainActor
final class Microphone {
  let samples: AsyncStream<[Float]>
  private let engine: AVAudioEngine

  private init(_ engine: AVAudioEngine, _ samples: AsyncStream<[Float]>) {
    self.engine = engine
    self.samples = samples
  }

  /// Asks for the permission at the first time.
  static func start() async throws -> Microphone {
    guard await AVAudioApplication.requestRecordPermission() else {
      throw MicrophoneError(errorDescription: "the app may not use the microphone: see Settings")
    }
    let session = AVAudioSession.sharedInstance()
    try session.setCategory(.record)
    try session.setActive(true)
    let engine = AVAudioEngine()
    let given = engine.inputNode.outputFormat(forBus: 0)
    guard let wanted = AVAudioFormat(standardFormatWithSampleRate: Double(AudioManager.sampleRate), channels: 1),
      let converter = AVAudioConverter(from: given, to: wanted)
    else { throw MicrophoneError(errorDescription: "the microphone gives no sound that can be converted") }
    let (stream, continuation) = AsyncStream.makeStream(of: [Float].self)
    tap(engine, Conversion(converter: converter, format: wanted, continuation: continuation))
    try engine.start()
    return Microphone(engine, stream)
  }

  func stop() {
    engine.stop()
    engine.inputNode.removeTap(onBus: 0)
  }

  // The tap is called on a thread of the audio system, so nothing here may belong to the main actor.
  private nonisolated static func tap(_ engine: AVAudioEngine, _ conversion: Conversion) {
    engine.inputNode.installTap(onBus: 0, bufferSize: 4096, format: nil) { buffer, _ in conversion.yield(buffer) }
  }
}

/// Turns what the microphone gives into what the model takes; used by the audio system's thread alone.
private final class Conversion: @unchecked Sendable {
  private let converter: AVAudioConverter
  private let format: AVAudioFormat
  private let continuation: AsyncStream<[Float]>.Continuation

  init(converter: AVAudioConverter, format: AVAudioFormat, continuation: AsyncStream<[Float]>.Continuation) {
    self.converter = converter
    self.format = format
    self.continuation = continuation
  }

  func yield(_ buffer: AVAudioPCMBuffer) {
    let frames = Double(buffer.frameLength) * format.sampleRate / buffer.format.sampleRate
    guard let made = AVAudioPCMBuffer(pcmFormat: format, frameCapacity: AVAudioFrameCount(frames) + 16) else { return }
    // The converter asks until it has enough: once there is this buffer, then none for now.
    nonisolated(unsafe) var given: AVAudioPCMBuffer? = buffer
    converter.convert(to: made, error: nil) { _, status in
      defer { given = nil }
      status.pointee = given == nil ? .noDataNow : .haveData
      return given
    }
    guard let channel = made.floatChannelData?[0], made.frameLength > 0 else { return }
    continuation.yield(Array(UnsafeBufferPointer(start: channel, count: Int(made.frameLength))))
  }

  deinit { continuation.finish() }
}
