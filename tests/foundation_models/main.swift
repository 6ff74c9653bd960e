// Plays a session of FoundationModels: each scenario asks the executor and prints what it said as a line of JSON.
import Foundation
import FoundationModels
import SphereEdge
import SphereEdgeFoundationModels

typealias Events = [LanguageModelExecutorGenerationChannel.Event]
typealias Request = LanguageModelExecutorGenerationRequest

let bundle = URL(fileURLWithPath: CommandLine.arguments[1])

/// An executor as the framework makes one, with its model.
struct Session {
  let model: SphereEdgeLanguageModel
  let executor: SphereEdgeLanguageModel.Executor

  init(_ text: TextManager, reasons: Bool = false) throws {
    model = SphereEdgeLanguageModel(text, reasons: reasons)
    executor = try .init(configuration: model.executorConfiguration)
  }

  func events(_ request: Request) async throws -> Events {
    let channel = LanguageModelExecutorGenerationChannel()
    try await executor.respond(to: request, model: model, streamingInto: channel)
    return channel.events
  }
}

func said(_ text: String) -> [Transcript.Segment] { [.text(.init(content: text))] }

func transcript(_ question: String, tools: [Transcript.ToolDefinition] = []) -> [Transcript.Entry] {
  let instructions = Transcript.Instructions(segments: said("Answer in one sentence."), toolDefinitions: tools)
  return [.instructions(instructions), .prompt(.init(segments: said(question)))]
}

func schema(_ json: String) throws -> GenerationSchema { GenerationSchema(try JSONValue(json: json)) }

func greedy(_ most: Int? = nil, tools: GenerationOptions.ToolCallingMode? = nil) -> GenerationOptions {
  GenerationOptions(samplingMode: .greedy, maximumResponseTokens: most, toolCallingMode: tools)
}

func tell(_ scenario: String, _ facts: [String: Any]) throws {
  let data = try JSONSerialization.data(withJSONObject: facts.merging(["scenario": scenario]) { $1 }, options: .sortedKeys)
  print(String(decoding: data, as: UTF8.self))
}

/// The texts of each kind of entry, the usage and everything else, as they came.
func facts(_ events: Events) -> [String: Any] {
  var facts: [String: Any] = ["entries": Set(events.map { "\($0.kind) \($0.entryID ?? "")" }).count]
  var texts: [String: String] = [:]
  for event in events {
    switch event.what {
    case .text(let text): texts[event.kind, default: ""] += text
    case .arguments(let id, let name, let arguments): texts["call \(name) \(id)", default: ""] += arguments
    case .removed(let id): facts["removed"] = id
    case .metadata(let keys): facts["metadata"] = keys
    case .usage(let input, let output):
      facts["usage"] = [input.totalTokenCount, input.cachedTokenCount, output.totalTokenCount, output.reasoningTokenCount]
      facts["usage of"] = event.kind
    }
  }
  facts["texts"] = texts
  facts["pieces"] = events.count
  return facts
}

let weather = Transcript.ToolDefinition(
  name: "weather", description: "The weather in a city",
  parameters: try schema(#"{"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris"]}}, "required": ["city"]}"#))

let text = try await TextManager.open(bundle)
let session = try Session(text)

let sky = transcript("What colour is the sky?")
try tell("text", facts(try await session.events(Request(transcript: .init(entries: sky), generationOptions: greedy(30)))))
try tell("cut off", facts(try await session.events(Request(transcript: .init(entries: sky), generationOptions: greedy(2)))))

let ordered = try schema(
  #"{"title": "Colour", "type": "object", "x-order": ["sure", "name"], "required": ["name", "sure"], "additionalProperties": false, "#
    + #""properties": {"name": {"enum": ["green"]}, "sure": {"type": "boolean"}}}"#)
try tell(
  "type",
  facts(try await session.events(Request(transcript: .init(entries: sky), schema: ordered, generationOptions: greedy()))))

let rain = transcript("Will it rain?")
let calling = try await session.events(
  Request(
    transcript: .init(entries: rain), enabledTools: [weather], schema: ordered,
    generationOptions: greedy(600, tools: .required)))
try tell("tools", facts(calling))
let called = Transcript.ToolCall(id: "call-1", toolName: "weather", arguments: try GeneratedContent(json: #"{"city": "Paris"}"#))
let round: [Transcript.Entry] = [
  .reasoning(.init(segments: said("I should ask."))), .toolCalls(.init([called])),
  .toolOutput(.init(id: "call-1", toolName: "weather", segments: said("No rain."))),
]
try tell(
  "answer after tools",
  facts(
    try await session.events(
      Request(
        transcript: .init(entries: rain + round), enabledTools: [weather], generationOptions: greedy(20, tools: .disallowed)))))
try tell(
  "tool call cut off",
  facts(
    try await session.events(
      Request(transcript: .init(entries: rain), enabledTools: [weather], generationOptions: greedy(150, tools: .required)))))

for (scenario, request) in [
  ("too long", Request(transcript: .init(entries: transcript(String(repeating: "sky ", count: text.info.contextTokens))))),
  ("guide", Request(transcript: .init(entries: sky), schema: try schema(#"{"type": "array", "contains": {"type": "null"}}"#))),
  ("attachment", Request(transcript: .init(entries: [.prompt(.init(segments: [.attachment(.init(id: "photo"))]))]))),
] {
  do {
    _ = try await session.events(request)
  } catch LanguageModelError.contextSizeExceeded(let why) {
    try tell(scenario, ["context": why.contextSize, "tokens": why.tokenCount])
  } catch LanguageModelError.unsupportedGenerationGuide(let why) {
    try tell(scenario, ["why": why.debugDescription])
  } catch LanguageModelError.unsupportedTranscriptContent(let why) {
    try tell(scenario, ["why": why.debugDescription, "entries": why.unsupportedContent.count])
  }
}

let other = try await TextManager.open(bundle)
let same = SphereEdgeLanguageModel(text).executorConfiguration == session.model.executorConfiguration
let another = SphereEdgeLanguageModel(other).executorConfiguration == session.model.executorConfiguration
let reasoner = SphereEdgeLanguageModel(text, reasons: true).capabilities
try tell(
  "model",
  [
    "same": same, "another": another, "vision": reasoner.contains(.vision),
    "reasoning": [reasoner.contains(.reasoning), session.model.capabilities.contains(.reasoning)],
  ])

/// How many tokens the KV cache has once all calls before have ended.
func kept(_ text: TextManager) async throws -> Int {
  let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
  defer { try? FileManager.default.removeItem(at: file) }
  return try await text.save(file)
}

// The request is made at once, and so it has to wait for what is computed ahead.
let warm = try Session(other)
let offered = transcript("What colour is the sky?", tools: [weather])
warm.executor.prewarm(model: warm.model, transcript: .init(entries: offered.dropLast()))
let asked = Request(transcript: .init(entries: offered), enabledTools: [weather], generationOptions: greedy(3))
let ahead = facts(try await warm.events(asked))
let answered = try await kept(other)
try tell("prewarmed", ahead.merging(["kept": answered]) { $1 })

let thinker = try await TextManager.open(URL(fileURLWithPath: CommandLine.arguments[2]))
let hi: [Transcript.Entry] = [
  .prompt(.init(segments: said("Hi"))), .reasoning(.init(segments: said("Politely."))), .response(.init(segments: said("Hello!"))),
  .prompt(.init(segments: said("How are you?"))),
]
for (scenario, reasons) in [("reasoning", true), ("no reasoning", false)] {
  let request = Request(
    transcript: .init(entries: hi), generationOptions: greedy(600),
    contextOptions: ContextOptions(reasoningLevel: reasons ? .light : nil))
  try tell(scenario, facts(try await Session(thinker, reasons: reasons).events(request)))
}

// Without tools, its answer ends with the context. Computing ahead meanwhile would take it out of the cache.
let caller = try await TextManager.open(URL(fileURLWithPath: CommandLine.arguments[3]))
let talking = try Session(caller)
let channel = LanguageModelExecutorGenerationChannel()
let endless = Task {
  try await talking.executor.respond(
    to: Request(transcript: .init(entries: sky), generationOptions: greedy()), model: talking.model, streamingInto: channel)
}
while channel.events.isEmpty { try await Task.sleep(nanoseconds: 1_000_000) }
talking.executor.prewarm(model: talking.model, transcript: .init(entries: sky.dropLast()))
endless.cancel()
do {
  try await endless.value
} catch is CancellationError {
  let tokens = try await caller.countChat([.system("Answer in one sentence.")])
  try tell(
    "cancelled", ["kept": try await kept(caller), "instructions": tokens, "context": caller.info.contextTokens])
}

// Whether they may call a tool or answer with a type is theirs.
for (name, text, reasons) in [("calls", caller, false), ("answers", thinker, false), ("reasons", thinker, true)] {
  let request = Request(
    transcript: .init(entries: rain), enabledTools: [weather], schema: ordered, generationOptions: greedy(600),
    contextOptions: ContextOptions(reasoningLevel: reasons ? .light : nil))
  try tell("type or tools: \(name)", facts(try await Session(text, reasons: reasons).events(request)))
}
try tell(
  "type or tools: built in",
  facts(
    try await session.events(
      Request(transcript: .init(entries: rain), enabledTools: [weather], schema: ordered, generationOptions: greedy()))))
await caller.close()
await thinker.close()

await text.close()
do {
  _ = try await session.events(Request(transcript: .init(entries: sky)))
} catch let error as SphereEdgeError {
  try tell("closed", ["message": error.message])
}
await other.close()
