// The chat: messages, a field for the next one, stop and regenerate.
import Foundation
import SwiftUI

struct ChatScreen: View {
  private let model = ChatModel.shared
  @State private var draft = ""

  var body: some View {
    VStack {
      ScrollView {
        LazyVStack(alignment: .leading) {
          ForEach(model.entries) { entry in EntryView(entry: entry) }
        }
      }
      Text(model.figures).font(.caption)
      TextField("Message", text: $draft).textFieldStyle(.roundedBorder)
      HStack {
        if model.isRunning {
          Button("Stop") { model.stop() }
        } else {
          Button("Send") {
            model.send(draft)
            draft = ""
          }
          Button("Regenerate") { model.regenerate() }
          Button("Clear") { model.clear() }
        }
      }
    }
    .padding()
  }
}

private struct EntryView: View {
  let entry: Entry

  var body: some View {
    VStack(alignment: .leading) {
      Text(entry.fromUser ? "You" : "Model").font(.caption)
      Text(markdown(entry.text)).textSelection(.enabled)
    }
    .padding()
  }
}

/// Markdown as models write it; what is not sound yet, because it still grows, is shown as it is.
func markdown(_ text: String) -> AttributedString {
  let options = AttributedString.MarkdownParsingOptions(interpretedSyntax: .inlineOnlyPreservingWhitespace)
  return (try? AttributedString(markdown: text, options: options)) ?? AttributedString(text)
}

/// What the model does on this phone, in figures.
struct BenchScreen: View {
  private let model = ChatModel.shared

  var body: some View {
    VStack {
      Button("Generate 64 tokens") { model.measure(tokens: 64) }.disabled(model.isRunning)
      Text(model.figures)
    }
    .padding()
  }
}
