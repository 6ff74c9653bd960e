// Speech to text: a file or the microphone.
import Foundation
import Observation
import SphereEdge
import SwiftUI
import UniformTypeIdentifiers

@MainActor @Observable
final class TranscribeModel {
  static let shared = TranscribeModel()

  /// The finished segments, and the one that may still change.
  private(set) var lines: [String] = []
  private(set) var unfinished = ""
  private(set) var note = ""
  private(set) var isRunning = false
  private var running: Task<Void, Never>?

  func transcribe(_ file: URL) {
    start { model in
      // What the user chose lies outside of the app until this is called.
      let opened = file.startAccessingSecurityScopedResource()
      defer { if opened { file.stopAccessingSecurityScopedResource() } }
      for try await event in model.transcribe(contentsOf: file) {
        if case .segment(let segment) = event { self.lines.append(segment.text) }
      }
    }
  }

  func transcribeLive() {
    start { model in
      let microphone = try await Microphone.start()
      defer { microphone.stop() }
      for try await live in model.transcribe(live: microphone.samples) {
        self.unfinished = live.isFinal ? "" : live.segment.text
        if live.isFinal { self.lines.append(live.segment.text) }
      }
    }
  }

  func stop() { running?.cancel() }

  func show(_ error: any Error) { note = sentence(error) }

  private func start(_ work: @escaping @MainActor (AudioManager) async throws -> Void) {
    guard !isRunning else { return }
    isRunning = true
    lines = []
    note = ""
    running = Task {
      do {
        try await work(try await Models.openAudio())
      } catch {
        if !Task.isCancelled { note = sentence(error) }
      }
      isRunning = false
      unfinished = ""
    }
  }
}

struct TranscribeScreen: View {
  private let model = TranscribeModel.shared
  @State private var choosing = false

  var body: some View {
    VStack {
      HStack {
        if model.isRunning {
          Button("Stop") { model.stop() }
        } else {
          Button("File") { choosing = true }
          Button("Microphone") { model.transcribeLive() }
        }
      }
      Text(model.note).font(.caption)
      ScrollView {
        VStack(alignment: .leading) {
          ForEach(Array(model.lines.enumerated()), id: \.offset) { line in Text(line.element) }
          Text(model.unfinished).foregroundStyle(.secondary)
        }
      }
    }
    .padding()
    .fileImporter(isPresented: $choosing, allowedContentTypes: [.audio]) { result in
      switch result {
      case .success(let file): model.transcribe(file)
      case .failure(let error): model.show(error)
      }
    }
  }
}
