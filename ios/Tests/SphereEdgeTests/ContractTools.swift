// The contract's calls about tools.
import Foundation

@testable import SphereEdge

extension Run {
  func toolsRun(_ with: JSONValue) async throws -> Output {
    let ran = Guarded<[JSONValue]>([])
    let tools = with["tools"].list.map { given in
      Tool(name: given["name"].text, description: given["description"].text, parameters: JSONSchema(given["parameters"])) {
        let arguments = try JSONValue(json: $0)
        ran.with { $0.append(["name": given["name"], "arguments": arguments]) }
        return given["returns"].text
      }
    }
    let given = messages(with)
    var output: Output
    do {
      let came = try await text!.chat(
        given, tools: tools, mostRounds: with["rounds"].int, try request(TextRequest(), with["request"]),
        options: try request(ChatOptions(), with["options"]))
      output = [
        "text": .string(came.last?.content ?? ""), "roles": .array((given + came).map { .string($0.role) }),
      ]
    } catch let error as SphereEdgeError {
      output = failed(error)
    }
    output["ran"] = .array(ran.with { $0 })
    return output
  }
}

/// What a step gives that throws.
func failed(_ error: SphereEdgeError) -> Output {
  ["status": .string(error.code.description), "message": .string(error.message)]
}
