// The contract's calls about sound and images.
import Foundation

@testable import SphereEdge

extension Run {
  func transcript(_ with: JSONValue) async throws -> Output {
    var (segments, language): ([Segment], String) = ([], "")
    for try await event in audio!.transcribe(
      contentsOf: path(with["file"].text), try request(TranscriptionRequest(), with["request"]))
    {
      if case .segment(let segment) = event { segments.append(segment) }
      if case .finished(let result) = event { language = result.language }
    }
    let text = segments.map(\.text).joined().trimmingCharacters(in: .whitespaces)
    let words = segments.reduce(0) { $0 + $1.words.count }
    return [
      "text": .string(text), "language": .string(language), "segments": .integer(segments.count),
      "words": .integer(words),
    ]
  }

  func liveTranscript(_ with: JSONValue) async throws -> Output {
    let samples = try SoundFile.samples(path(with["file"].text))
    let blocks = stride(from: 0, to: samples.count, by: with["block"].int).map {
      Array(samples[$0..<min($0 + with["block"].int, samples.count)])
    }
    var final: [String] = []
    for try await live in audio!.transcribe(live: blocks.stream, try request(TranscriptionRequest(), with["request"]))
    where live.isFinal {
      final.append(live.segment.text)
    }
    return ["text": .string(final.joined().trimmingCharacters(in: .whitespaces)), "segments": .integer(final.count)]
  }

  func images(_ with: JSONValue) async throws -> Output {
    var (made, progress): ([GeneratedImage], Int) = ([], 0)
    for try await event in image!.generate(with["prompt"].text, try request(ImageRequest(), with["request"])) {
      if case .image(let image) = event { made.append(image) }
      if case .progress = event { progress += 1 }
    }
    let pixels = made.reduce(into: Data()) { $0 += $1.pixels }.base64EncodedString()
    return [
      "images": .integer(made.count), "seeds": .array(made.map { .integer($0.seed) }), "progress": .integer(progress),
      "width": .integer(made.first?.width ?? 0), "height": .integer(made.first?.height ?? 0), "pixels": .string(pixels),
    ]
  }
}
