// Runs the cases of tests/contract with the Swift library.
import Foundation
import Testing

@testable import SphereEdge

typealias Output = [String: JSONValue]

struct Problem: Error, CustomStringConvertible {
  let description: String
}

@Suite(.serialized) struct ContractTests {
  static let capabilities: Set<String> = ["text", "audio", "image", "embed", "save", "structured", "tools", "close"]

  @Test(arguments: try cases()) func doesWhatEveryLibraryDoes(_ document: JSONValue) async throws {
    let needs = Set(document["needs"].list.map(\.text))
    #expect(needs.isSubset(of: Self.capabilities))
    let run = try Run()
    do {
      if document["model"] != .null { try await run.openModel(document["model"].text, document["open"]) }
      for (number, step) in document["steps"].list.enumerated() { try await run.step(number, step) }
    } catch {
      Issue.record("\(document["name"].text): \(error)")
    }
    await run.closeAll()
    print("contract case ran: \(document["name"].text)")
  }

  static func cases() throws -> [JSONValue] {
    let folder = Given.path("SPHERE_EDGE_CONTRACT")
    let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
    let chosen = files.filter { $0.pathExtension == "json" && $0.lastPathComponent != "schema.json" }
    return try chosen.sorted { $0.path < $1.path }.flatMap {
      try JSONDecoder().decode(JSONValue.self, from: Data(contentsOf: $0))["cases"].list
    }
  }
}

/// One case: a model that is open, and what its steps gave.
final class Run {
  private let models: JSONValue
  private let folder: URL
  private var outputs: [String: Output] = [:]
  var text: TextManager?
  var audio: AudioManager?
  var image: ImageManager?

  init() throws {
    models = try JSONDecoder().decode(JSONValue.self, from: Data(contentsOf: Given.path("SPHERE_EDGE_MODELS")))
    folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  func openModel(_ name: String, _ options: JSONValue) async throws {
    switch name {
    case "text", "gguf": text = try await TextManager.open(path(name), try request(TextOpenOptions(), options))
    case "audio": audio = try await AudioManager.open(path(name))
    case "image": image = try await ImageManager.open(path(name))
    default: throw Problem(description: "unknown model \(name)")
    }
  }

  func closeAll() async {
    await text?.close()
    await audio?.close()
    await image?.close()
    try? FileManager.default.removeItem(at: folder)
  }

  func step(_ number: Int, _ step: JSONValue) async throws {
    let unknown = Set(step.fields.keys).subtracting(["id", "call", "with", "after", "expect"])
    guard unknown.isEmpty else { throw Problem(description: "unknown keys: \(unknown)") }
    var output: Output
    do {
      output = ["status": "OK"].merging(try await call(step["call"].text, step["with"], step["after"])) { $1 }
    } catch let error as SphereEdgeError {
      output = failed(error)
    }
    outputs[step["id"].text] = output
    for (field, expected) in step["expect"].fields {
      for (condition, value) in expected.isObject ? expected.fields : ["equals": expected] {
        let found = output[field] ?? .null
        guard try holds(found, condition, value, field) else {
          throw Problem(description: "step \(number), \(field): `\(found)` is not \(condition) `\(value)` in \(output)")
        }
      }
    }
  }

  private func holds(_ found: JSONValue, _ condition: String, _ value: JSONValue, _ field: String) throws -> Bool {
    switch condition {
    case "equals": return found.alike == value.alike
    case "same_as", "differs_from":
      guard let other = outputs[value.text]?[field] else { throw Problem(description: "no step `\(value.text)`") }
      return (found == other) == (condition == "same_as")
    case "at_least": return found.double >= value.double
    case "at_most": return found.double <= value.double
    case "contains": return found.text.contains(value.text)
    default: throw Problem(description: "unknown condition \(condition)")
    }
  }

  private func call(_ name: String, _ with: JSONValue, _ after: JSONValue) async throws -> Output {
    switch name {
    case "text.open":
      try await TextManager.open(path(with["model"].text), try request(TextOpenOptions(), with["options"])).close()
    case "audio.open": try await AudioManager.open(path(with["model"].text)).close()
    case "image.open": try await ImageManager.open(path(with["model"].text)).close()
    case "close": await closeModel()
    case "text.generate":
      return try await answer(text!.generate(with["prompt"].text, try request(TextRequest(), with["request"])), after)
    case "text.chat":
      let options = try request(ChatOptions(), with["options"])
      return try await answer(
        text!.chat(messages(with), try request(TextRequest(), with["request"]), options: options), after)
    case "text.run_tools": return try await toolsRun(with)
    case "text.render_chat": return ["text": .string(try await text!.renderChat(messages(with)))]
    case "text.tokenize":
      let special = with["add_special"] != .bool(false)
      return ["ids": .array(try await text!.tokenize(with["text"].text, addSpecial: special).map { .integer($0) })]
    case "text.detokenize": return ["text": .string(try await text!.detokenize(with["ids"].list.map(\.int)))]
    case "text.embed":
      let made = try await text!.embed(with["texts"].list.map(\.text), try request(EmbedRequest(), with["request"]))
      let lengths = made.vectors.map {
        ($0.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot() * 10000).rounded() / 10000
      }
      return [
        "vectors": .integer(made.vectors.count), "size": .integer(made.vectors.first?.count ?? 0),
        "lengths": .array(lengths.map { .number($0) }), "truncated": .integer(made.truncated),
      ]
    case "text.save", "text.restore":
      let file = with["model"] == .null ? folder.appendingPathComponent(with["file"].text) : path(with["model"].text)
      let key = with["sequence_key"] == .null ? nil : with["sequence_key"].text
      let tokens =
        name == "text.save"
        ? try await text!.save(file, sequenceKey: key) : try await text!.restore(file, sequenceKey: key)
      return ["tokens": .integer(tokens)]
    case "text.reset": try await text!.reset()
    case "audio.transcribe": return try await transcript(with)
    case "audio.stream": return try await liveTranscript(with)
    case "image.generate": return try await images(with)
    default: throw Problem(description: "unknown call \(name)")
    }
    return [:]
  }

  private func answer(_ events: AsyncThrowingStream<TextEvent, any Error>, _ after: JSONValue) async throws -> Output {
    var (seen, logprobs, pieces): ([TextEvent], [TokenLogprob], Int) = ([], [], 0)
    do {
      for try await event in events {
        seen.append(event)
        guard case .delta(let delta) = event else { continue }
        pieces += delta.kind == .text && !delta.text.isEmpty ? 1 : 0
        logprobs += delta.logprobs
        guard pieces == after["pieces"].int, delta.kind == .text else { continue }
        switch after["do"].text {
        case "end_reader": return ["pieces": .integer(pieces)]
        case "cancel": text!.cancel()
        case "close": await text!.close()
        default: throw Problem(description: "unknown action \(after["do"])")
        }
      }
    } catch let error as SphereEdgeError where error.code == .cancelled {
      guard case .finished = seen.last else { throw error }
    }
    let (message, result) = try await seen.stream.message()
    let content = message.content ?? ""
    return [
      "status": result.finishReason == .cancelled ? "CANCELLED" : "OK", "text": .string(content),
      "json": (try? JSONValue(json: content)) ?? .null, "pieces": .integer(pieces),
      "logprobs": .integer(logprobs.count), "top_logprobs": .integer(logprobs.reduce(0) { $0 + $1.topLogprobs.count }),
      "finish_reason": .string(result.finishReason == .toolCalls ? "tool_calls" : "\(result.finishReason)"),
      "stop_index": result.stopIndex.map { .integer($0) } ?? .null, "prompt_tokens": .integer(result.promptTokens),
      "cached_tokens": .integer(result.cachedTokens), "completion_tokens": .integer(result.completionTokens),
      "reasoning_tokens": .integer(result.reasoningTokens), "seed": .integer(result.seed),
      "tool_calls": .array(
        message.toolCalls.map {
          ["name": .string($0.name), "arguments": (try? JSONValue(json: $0.arguments)) ?? .null]
        }),
    ]
  }

  private func closeModel() async {
    await text?.close()
    await audio?.close()
    await image?.close()
  }

  func path(_ name: String) -> URL { URL(fileURLWithPath: models[name].text) }

  func messages(_ with: JSONValue) -> [Message] {
    with["messages"].list.map { Message(role: $0["role"].text, content: $0["content"].text) }
  }
}
