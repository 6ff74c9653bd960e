// AudioManager: speech recognition, from a bundle folder or a whisper.cpp file.
import CSphereEdge
import Foundation

/// What was opened.
public struct AudioInfo: Sendable, Hashable, Decodable {
  public let engine: String
  public let backend: String
  public let family: String
  public let quantization: String
  public let parameters: Int
  public let multilingual: Bool
  /// 1: English only.
  public let languages: Int
  public let sampleRate: Int
  public let threads: Int
  public let hasVad: Bool
  public let weightsBytes: Int
  public let loadSeconds: Double
}

/// A word of a segment.
public struct Word: Sendable, Hashable {
  public let startMs: Int
  public let endMs: Int
  public let text: String
  public let probability: Float
}

/// A piece of the transcript; times are from the beginning of the audio.
public struct Segment: Sendable, Hashable {
  public let startMs: Int
  public let endMs: Int
  /// With the space before it.
  public let text: String
  public let language: String
  public let probability: Float
  /// That there is no speech.
  public let noSpeechProbability: Float
  /// Only if they were requested.
  public let words: [Word]

  init(_ filled: se_audio_segment) {
    startMs = Int(filled.start_ms)
    endMs = Int(filled.end_ms)
    text = SphereEdge.text(filled.text)
    language = SphereEdge.text(filled.language)
    probability = filled.probability
    noSpeechProbability = filled.no_speech_probability
    words = UnsafeBufferPointer(start: filled.words, count: filled.word_count).map {
      Word(
        startMs: Int($0.start_ms), endMs: Int($0.end_ms), text: SphereEdge.text($0.text), probability: $0.probability)
    }
  }
}

/// How a transcription went.
public struct AudioResult: Sendable, Hashable {
  public let language: String
  public let audioSeconds: Double
  public let firstSegmentSeconds: Double
  public let totalSeconds: Double

  init(_ filled: se_audio_result) {
    language = SphereEdge.text(ofCharacters: filled.language)
    audioSeconds = filled.audio_seconds
    firstSegmentSeconds = filled.first_segment_seconds
    totalSeconds = filled.total_seconds
  }
}

/// What a transcription gives: segments, the part that is done (0 to 1), and how it went.
public enum AudioEvent: Sendable, Hashable {
  case segment(Segment)
  case progress(Float)
  case finished(AudioResult)
}

/// A segment of live audio; one that is not final is replaced by the next.
public struct LiveSegment: Sendable, Hashable {
  public let segment: Segment
  public let isFinal: Bool
}

/// A speech recognition model that is open. The rest is as with TextManager.
public actor AudioManager {
  /// Samples are mono, full scale -1 to 1.
  public static let sampleRate = Int(SE_AUDIO_SAMPLE_RATE)
  public nonisolated let info: AudioInfo
  public nonisolated var unownedExecutor: UnownedSerialExecutor { model.executor.asUnownedSerialExecutor() }
  private nonisolated let model: Model<AudioInfo>

  private init(_ model: Model<AudioInfo>) {
    info = model.info
    self.model = model
  }

  /// Opens a bundle folder or a whisper.cpp file. `threads` 0: one per performance core. `trustedKeys`: as in
  /// `TextOpenOptions`.
  public static func open(
    _ path: URL, threads: Int = 0, trustedKeys: String? = nil
  ) async throws -> AudioManager {
    let model = try await Model<AudioInfo>.opened(.audio) { memory, opened in
      var options = se_audio_open_options()
      options.size = MemoryLayout<se_audio_open_options>.size
      options.threads = try fitted("threads", threads, Int32.self)
      options.trusted_keys = try memory.string("trustedKeys", optional: trustedKeys)
      return se_audio_open(try memory.string("the path", path.path), &options, &opened)
    }
    return AudioManager(model)
  }

  /// Transcribes samples at 16 kHz, at most 4 hours.
  public nonisolated func transcribe(
    _ samples: [Float], _ request: TranscriptionRequest = .init()
  ) -> AsyncThrowingStream<AudioEvent, any Error> {
    transcribe({ samples }, request)
  }

  /// Transcribes a file: on Apple's systems of every kind that they read, on Linux a WAV file at 16 kHz.
  public nonisolated func transcribe(
    contentsOf file: URL, _ request: TranscriptionRequest = .init()
  ) -> AsyncThrowingStream<AudioEvent, any Error> {
    transcribe({ try SoundFile.samples(file) }, request)
  }

  /// Transcribes samples as they come: partial segments while people speak, and final ones. Ends when `samples` does.
  public nonisolated func transcribe<Samples: AsyncSequence & Sendable>(
    live samples: Samples, _ request: TranscriptionRequest = .init()
  ) -> AsyncThrowingStream<LiveSegment, any Error> where Samples.Element == [Float] {
    let call = Call()
    return AsyncThrowingStream { events in
      let task = Task {
        do {
          let live = try await LiveStream(self, request, events)
          for try await block in samples { try await live.push(block, call) }
          try await live.finish(call)
          events.finish()
        } catch {
          events.finish(throwing: error)
        }
      }
      events.onTermination = { [model] reason in
        if case .cancelled = reason {
          task.cancel()
          model.handle.stop(call)
        }
      }
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

  /// `body` on the model, on its thread.
  func run<Value: Sendable>(_ call: Call, _ body: @Sendable (OpaquePointer) throws -> Value) throws -> Value {
    try model.handle.run(call, body)
  }

  private nonisolated func transcribe(
    _ samples: @escaping @Sendable () throws -> [Float], _ request: TranscriptionRequest
  ) -> AsyncThrowingStream<AudioEvent, any Error> {
    model.stream { model, memory, emitter in
      let samples = try samples()
      var options = try request.filled(memory)
      options.on_progress = { done, receiver in
        Emitter<AudioEvent>.of(receiver).emit(.progress(done))
      }
      var result = se_audio_result()
      result.size = MemoryLayout<se_audio_result>.size
      try check(
        se_audio_transcribe(
          model, samples, samples.count, &options,
          { segment, receiver in
            guard let segment else { return false }
            return Emitter<AudioEvent>.of(receiver).emit(.segment(Segment(segment.pointee)))
          }, emitter.pointer, &result))
      emitter.end(with: .finished(AudioResult(result)))
    }
  }
}

/// A live stream of the core, used from the manager's thread only.
private final class LiveStream: @unchecked Sendable {
  private let audio: AudioManager
  private let emitter: Emitter<LiveSegment>
  private var stream: OpaquePointer?

  init(
    _ audio: AudioManager, _ request: TranscriptionRequest,
    _ events: AsyncThrowingStream<LiveSegment, any Error>.Continuation
  ) async throws {
    self.audio = audio
    emitter = Emitter(Call(), events)
    stream = try await audio.run(Call()) { [emitter] model in
      let memory = Memory()
      defer { memory.free() }
      var transcribe = try request.filled(memory)
      // Live audio has no time for a second attempt.
      transcribe.temperature_step = request.temperatureStep ?? 0
      var options = se_audio_stream_options()
      try check(se_audio_stream_default_options(&options, MemoryLayout<se_audio_stream_options>.size))
      var opened: OpaquePointer?
      try withUnsafePointer(to: transcribe) {
        options.transcribe = $0
        try check(
          se_audio_stream_open(
            model, &options,
            { segment, isFinal, receiver in
              guard let segment else { return false }
              return Emitter<LiveSegment>.of(receiver).emit(
                LiveSegment(segment: Segment(segment.pointee), isFinal: isFinal))
            }, emitter.pointer, &opened))
      }
      return UncheckedPointer(opened)
    }.pointer
  }

  deinit {
    se_audio_stream_close(stream)
  }

  func push(_ samples: [Float], _ call: Call) async throws {
    try await audio.run(call) { [self] _ in try check(se_audio_stream_push(stream, samples, samples.count)) }
  }

  func finish(_ call: Call) async throws {
    try await audio.run(call) { [self] _ in try check(se_audio_stream_finish(stream)) }
  }
}

private struct UncheckedPointer: @unchecked Sendable {
  let pointer: OpaquePointer?

  init(_ pointer: OpaquePointer?) {
    self.pointer = pointer
  }
}
