// The app's bundles, and the managers that open them once.
import Foundation
{% if code %}
import ModelCode
{% endif %}
import SphereEdge

@MainActor
enum Models {
{% if text %}
  private static var text: TextManager?

  /// The language model; the first call opens it.
  static func openText() async throws -> TextManager {
    if let text { return text }
{% if code %}
    // Keeps the model's code in the app: nothing else refers to it.
    sphere_edge_keep_model_code()
{% endif %}
    let opened = try await TextManager.open(folder("{{ text }}"))
    text = opened
    return opened
  }

{% endif %}
{% if audio %}
  private static var audio: AudioManager?

  static func openAudio() async throws -> AudioManager {
    if let audio { return audio }
    let opened = try await AudioManager.open(folder("{{ audio }}"))
    audio = opened
    return opened
  }

{% endif %}
{% if image %}
  private static var image: ImageManager?

  static func openImage() async throws -> ImageManager {
    if let image { return image }
    let opened = try await ImageManager.open(folder("{{ image }}"))
    image = opened
    return opened
  }

{% endif %}
  private static func folder(_ name: String) -> URL {
    Bundle.main.bundleURL.appendingPathComponent("Bundles").appendingPathComponent(name)
  }
}

/// What the user is told of an error: the sentence and what can be done.
func sentence(_ error: any Error) -> String {
  guard let ours = error as? SphereEdgeError else { return error.localizedDescription }
  return [ours.message, ours.hint].compactMap { $0 }.joined(separator: "\n")
}
