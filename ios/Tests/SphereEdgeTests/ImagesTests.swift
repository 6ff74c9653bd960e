// Images in chats, images that are changed, conversations with caches of their own, and drafts.
import Foundation
import SphereEdge
import Testing

@Suite(.serialized) struct ImagesTests {
  static let question = Part.text("What is this?")

  static var short: TextRequest {
    var request = TextRequest(maxTokens: 12, temperature: 0)
    request.ignoreEndOfText = true
    return request
  }

  /// Large spots, of other colours for each `seed`.
  static func spots(_ seed: Int, width: Int = 90, height: Int = 60) throws -> Pixels {
    let bytes = (0..<width * height * 3).map { at in
      UInt8(truncatingIfNeeded: (at / 3 % width / 10 * 7 + at / 3 / width / 10 * 13 + at % 3 * 5) * (seed + 3) * 31)
    }
    return try Pixels(width: width, height: height, bytes: Data(bytes))
  }

  static func gguf(mmproj: Bool = false, sequences: Int = 1) async throws -> TextManager {
    var options = TextOpenOptions(threads: 2)
    options.sequences = sequences
    if mmproj { options.mmproj = Given.model("mmproj") }
    return try await TextManager.open(Given.model("gguf"), options)
  }

  @Test func answersDependOnTheImageWhichIsComputedOnce() async throws {
    let text = try await Self.gguf(mmproj: true)
    #expect(text.info.readsImages)
    var answers: Set<String> = []
    for seed in 0..<4 {
      let messages = [Message.user(.image(try Self.spots(seed)), Self.question)]
      let (message, result) = try await text.chat(messages, Self.short).message()
      answers.insert(message.content ?? "")
      #expect(try await text.countChat(messages) == result.promptTokens)
      let again = try await text.chat(messages, Self.short).message().result
      #expect(again.cachedTokens == again.promptTokens - 1)
    }
    #expect(answers.count > 1)
    let mask = try Pixels(width: 2, height: 2, channels: 1, bytes: Data(count: 4))
    let error = await #expect(throws: SphereEdgeError.self) {
      try await text.chat([.user(.image(mask))], Self.short).text()
    }
    #expect(error?.code == .invalidArgument)
    await text.close()
  }

  @Test func modelThatReadsTextOnlyRefusesImages() async throws {
    let text = try await Self.gguf()
    #expect(!text.info.readsImages)
    let error = await #expect(throws: SphereEdgeError.self) {
      try await text.chat([.user(.image(try Self.spots(1)))], Self.short).text()
    }
    #expect(error?.code == .unsupported)
    await text.close()
  }

  @Test func conversationsKeepTheirCaches() async throws {
    let text = try await Self.gguf(sequences: 2)
    #expect(text.info.sequences == 2)
    let prompts = ["one": "The first conversation is about foxes", "two": "Another one, of trees and of their leaves"]
    for round in 0..<2 {
      for (key, prompt) in prompts {
        var request = Self.short
        request.sequenceKey = key
        let result = try await text.generate(prompt, request).message().result
        #expect(round == 0 || result.cachedTokens == result.promptTokens - 1)
      }
    }
    await text.close()
  }

  @Test func draftsLeaveTheTextAsItIs() async throws {
    let text = try await TextManager.open(Given.text)
    #expect(text.info.speculates)
    var request = TextRequest(maxTokens: 30, temperature: 0)
    let plain = try await text.chat(TextTests.sky, request).message()
    request.draft = .promptLookup
    request.draftTokens = 7
    request.prediction = plain.message.content
    let drafted = try await text.chat(TextTests.sky, request).message()
    #expect(plain.message == drafted.message && plain.result.draftTokens == 0)
    #expect(drafted.result.draftTokens >= drafted.result.acceptedTokens && drafted.result.acceptedTokens > 0)
    request.draftTokens = 32
    let error = await #expect(throws: SphereEdgeError.self) { try await text.generate("Hi", request).text() }
    #expect(error?.code == .invalidArgument)
    await text.close()
    var options = TextOpenOptions()
    options.draftModel = Given.text
    let checking = try await TextManager.open(Given.text, options)
    request = TextRequest(maxTokens: 30, temperature: 0)
    // Without a number, a draft model as slow as the model is soon not asked any more.
    request.draftTokens = 4
    let checked = try await checking.chat(TextTests.sky, request).message()
    #expect(checking.info.draftModelBytes > 0 && checked.result.acceptedTokens > 0 && checked.message == plain.message)
    await checking.close()
    options.draftModel = Given.model("missing")
    let missing = await #expect(throws: SphereEdgeError.self) { try await TextManager.open(Given.model("gguf"), options) }
    #expect(missing?.code == .notFound)
  }

  @Test func pixelsAreCounted() {
    for (width, height, channels, count) in [(2, 2, 3, 11), (0, 2, 3, 0), (2, 2, 4, 16), (-1, -1, 1, 1), (Int.max, 2, 3, 6)] {
      let error = #expect(throws: SphereEdgeError.self) {
        try Pixels(width: width, height: height, channels: channels, bytes: Data(count: count))
      }
      #expect(error?.code == .invalidArgument)
    }
  }

  @Test func imageCanBeStartedFromAndMasked() async throws {
    let image = try await ImageManager.open(Given.model("reader"), threads: 1)
    #expect(image.info.readsImages)
    var request = ImageRequest(width: 64, height: 64, steps: 4, seed: 5)
    let plain = try await Self.made(image, request)
    request.initImage = try Self.spots(1, width: 64, height: 64)
    request.strength = 0.5
    let started = try await Self.made(image, request)
    let left = (0..<64 * 64).map { UInt8($0 % 64 < 32 ? 255 : 0) }
    request.mask = try Pixels(width: 64, height: 64, channels: 1, bytes: Data(left))
    let masked = try await Self.made(image, request)
    #expect(Set([plain, started, masked].map(\.pixels)).count == 3)
    #expect(try await Self.made(image, request) == masked)
    request.initImage = try Pixels(plain)
    #expect(try await Self.made(image, request) != masked)
    request.mask = try Self.spots(1, width: 64, height: 64)
    await Self.expectRefused(image, request)
    request = ImageRequest(width: 64, height: 64, steps: 1)
    request.strength = 0.5
    await Self.expectRefused(image, request)
    for seed in [-1, 1 << 31] {
      await Self.expectRefused(image, ImageRequest(width: 64, height: 64, steps: 1, seed: seed))
    }
    await image.close()
  }

  private static func made(_ image: ImageManager, _ request: ImageRequest) async throws -> GeneratedImage {
    var made: [GeneratedImage] = []
    for try await event in image.generate("a fox", request) {
      if case .image(let one) = event { made.append(one) }
    }
    return try #require(made.first)
  }

  private static func expectRefused(_ image: ImageManager, _ request: ImageRequest) async {
    let error = await #expect(throws: SphereEdgeError.self) { try await made(image, request) }
    #expect(error?.code == .invalidArgument)
  }
}
