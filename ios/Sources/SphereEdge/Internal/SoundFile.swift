// SoundFile: samples of a file, as speech models take them.
import Foundation

#if canImport(AVFAudio)
  import AVFAudio
#endif

enum SoundFile {
  private static let rate = 16000.0
  // Four hours, the most that a call of the core takes, in the widest format.
  private static let mostBytes = 4 * 3600 * 16000 * 16

  /// Mono at 16 kHz, full scale -1 to 1. Throws `notFound`, `modelCorrupt`, `unsupported`.
  static func samples(_ file: URL) throws -> [Float] {
    guard FileManager.default.fileExists(atPath: file.path) else {
      throw SphereEdgeError(.notFound, "there is no sound file `\(file.path)`")
    }
    #if canImport(AVFAudio)
      return try converted(file)
    #else
      return try wav(file)
    #endif
  }

  #if canImport(AVFAudio)
    private static func converted(_ file: URL) throws -> [Float] {
      do {
        let opened = try AVAudioFile(forReading: file)
        guard
          let format = AVAudioFormat(
            commonFormat: .pcmFormatFloat32, sampleRate: rate, channels: 1, interleaved: false),
          let converter = AVAudioConverter(from: opened.processingFormat, to: format),
          let block = AVAudioPCMBuffer(pcmFormat: opened.processingFormat, frameCapacity: 65536),
          let output = AVAudioPCMBuffer(pcmFormat: format, frameCapacity: 65536)
        else { throw SphereEdgeError(.unsupported, "the sound of `\(file.path)` is not converted to 16 kHz") }
        var samples: [Float] = []
        var failed: (any Error)?
        while true {
          var error: NSError?
          let state = converter.convert(to: output, error: &error) { _, status in
            do {
              block.frameLength = 0
              if opened.framePosition < opened.length { try opened.read(into: block) }
            } catch {
              failed = error
            }
            status.pointee = block.frameLength > 0 ? .haveData : .endOfStream
            return block.frameLength > 0 ? block : nil
          }
          if let error = failed ?? error { throw error }
          samples += UnsafeBufferPointer(start: output.floatChannelData![0], count: Int(output.frameLength))
          guard samples.count * 4 <= mostBytes else {
            throw SphereEdgeError(.invalidArgument, "`\(file.path)` is longer than 4 hours")
          }
          if state == .endOfStream { return samples }
        }
      } catch let error as SphereEdgeError {
        throw error
      } catch {
        throw SphereEdgeError(.modelCorrupt, "`\(file.path)` is not a sound file: \(error.localizedDescription)")
      }
    }
  #endif

  private static func wav(_ file: URL) throws -> [Float] {
    let data = try Data(contentsOf: file, options: .mappedIfSafe)
    guard data.count <= mostBytes else { throw SphereEdgeError(.invalidArgument, "`\(file.path)` is too long") }
    func number(_ at: Int, _ bytes: Int) -> Int {
      (0..<bytes).reduce(0) { $0 | Int(data[at + $1]) << (8 * $1) }
    }
    func name(_ at: Int) -> String { String(decoding: data[at..<at + 4], as: UTF8.self) }
    let damaged = SphereEdgeError(.modelCorrupt, "`\(file.path)` is not a WAV file, or cut off")
    guard data.count >= 12, name(0) == "RIFF", name(8) == "WAVE" else { throw damaged }
    var isRight = false
    var at = 12
    while at + 8 <= data.count {
      let (chunk, bytes) = (name(at), number(at + 4, 4))
      at += 8
      guard bytes <= data.count - at else { throw damaged }
      if chunk == "fmt " {
        guard bytes >= 16 else { throw damaged }
        isRight = number(at, 2) == 1 && number(at + 2, 2) == 1 && number(at + 4, 4) == 16000 && number(at + 14, 2) == 16
      } else if chunk == "data" {
        guard isRight else {
          throw SphereEdgeError(
            .unsupported, "`\(file.path)` is not 16-bit mono at 16 kHz", hint: "convert it, or give samples")
        }
        return stride(from: at, to: at + bytes - 1, by: 2).map {
          Float(Int16(truncatingIfNeeded: number($0, 2))) / 32768
        }
      }
      at += bytes + bytes % 2
    }
    throw damaged
  }
}
