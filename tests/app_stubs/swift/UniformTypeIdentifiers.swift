import Foundation
import SwiftUI

public struct UTType: Sendable {
  public static let audio = UTType()
}

extension View {
  public nonisolated func fileImporter(
    isPresented: Binding<Bool>, allowedContentTypes: [UTType], onCompletion: @escaping (Result<URL, any Error>) -> Void
  ) -> some View { self }
}

extension URL {
  public func startAccessingSecurityScopedResource() -> Bool { fatalError("a stub") }
  public func stopAccessingSecurityScopedResource() {}
}
