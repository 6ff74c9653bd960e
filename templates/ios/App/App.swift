// The app's only window: one tab for each of its bundles.
import SwiftUI

@main
struct ModelApp: App {
  var body: some Scene {
    WindowGroup {
      TabView {
{% if text %}
        ChatScreen().tabItem { Label("Chat", systemImage: "bubble.left") }
        BenchScreen().tabItem { Label("Bench", systemImage: "speedometer") }
{% endif %}
{% if audio %}
        TranscribeScreen().tabItem { Label("Transcribe", systemImage: "waveform") }
{% endif %}
{% if image %}
        ImageScreen().tabItem { Label("Image", systemImage: "photo") }
{% endif %}
      }
    }
  }
}
