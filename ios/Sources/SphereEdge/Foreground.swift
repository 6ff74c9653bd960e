// Foreground: iOS ends an app that uses the GPU in the background, so no engine does.
import Foundation

#if canImport(UIKit)
  import UIKit
#endif

/// Between will-resign-active and did-become-active no engine on a GPU computes: the running calls end
/// with `cancelled` before the app leaves, and new ones fail with `unavailable`.
final class Foreground: @unchecked Sendable {
  static let shared = Foreground()

  // Longer, and iOS ends the app for not leaving.
  private static let longestWaitSeconds = 3.0
  private let lock = NSLock()
  private var isActive = true
  private var handles: [WeakHandle] = []

  init() {
    #if canImport(UIKit)
      let center = NotificationCenter.default
      for (name, active) in [
        (UIApplication.willResignActiveNotification, false),
        (UIApplication.didBecomeActiveNotification, true),
      ] {
        center.addObserver(forName: name, object: nil, queue: nil) { [weak self] _ in
          active ? self?.didBecomeActive() : self?.willResignActive()
        }
      }
    #endif
  }

  func add(_ handle: Handle) {
    lock.withLock {
      handles.removeAll { $0.handle == nil }
      handles.append(WeakHandle(handle: handle))
    }
  }

  func check() throws {
    if lock.withLock({ !isActive }) {
      throw SphereEdgeError(
        .unavailable, "the app is not active, and iOS ends apps that use the GPU then",
        hint: "ask again when it is, or open the model with the backend `cpu`")
    }
  }

  /// Returns when no engine uses the GPU any more.
  func willResignActive() {
    let open = lock.withLock {
      isActive = false
      return handles.compactMap(\.handle)
    }
    for handle in open { handle.cancel() }
    let end = Date(timeIntervalSinceNow: Self.longestWaitSeconds)
    while open.contains(where: \.isBusy) && Date() < end { Thread.sleep(forTimeInterval: 0.002) }
  }

  func didBecomeActive() {
    lock.withLock { isActive = true }
  }
}

private struct WeakHandle {
  weak var handle: Handle?
}
