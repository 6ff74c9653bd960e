// The files of a bundle from a web server.
import Foundation

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// Files below an address, such as `https://example.com/models/tiny.iphone15-pro`: a bundle's folder as it is, on a web
/// server that knows `Range`.
///
/// `onlyUnmetered` spares the user's data volume: neither mobile data nor a hotspot is used, and nothing in Low Data Mode.
public final class HTTPSource: BundleSource {
  private let address: URL
  private let headers: [String: String]
  private let session: URLSession
  private let answers = Answers()

  /// `headers` are sent with every request. A server that sends nothing for `timeoutSeconds` ends the attempt.
  public init(
    _ address: URL, headers: [String: String] = [:], timeoutSeconds: Double = 20, onlyUnmetered: Bool = false
  ) throws {
    guard ["http", "https"].contains(address.scheme?.lowercased()), address.host != nil else {
      throw SphereEdgeError(
        .invalidArgument, "`\(address)` is not the address of a folder",
        hint: "such as https://example.com/models/tiny.iphone15-pro")
    }
    guard timeoutSeconds > 0, timeoutSeconds.isFinite else {
      throw SphereEdgeError(.invalidArgument, "`\(timeoutSeconds)` is not a value of timeoutSeconds")
    }
    self.address = address
    self.headers = headers
    let configuration = URLSessionConfiguration.ephemeral
    configuration.timeoutIntervalForRequest = timeoutSeconds
    #if canImport(FoundationNetworking)
      configuration.allowsCellularAccess = !onlyUnmetered
    #else
      configuration.allowsExpensiveNetworkAccess = !onlyUnmetered
      configuration.allowsConstrainedNetworkAccess = !onlyUnmetered
    #endif
    session = URLSession(configuration: configuration, delegate: answers, delegateQueue: nil)
  }

  deinit {
    session.finishTasksAndInvalidate()
  }

  public func read(_ path: String, from offset: Int, count: Int) async throws -> Data {
    var request = URLRequest(url: address.appendingPathComponent(path))
    for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
    // Compressed on its way, an offset would be another one.
    request.setValue("identity", forHTTPHeaderField: "Accept-Encoding")
    request.setValue("bytes=\(offset)-\(offset + count - 1)", forHTTPHeaderField: "Range")
    let task = session.dataTask(with: request)
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        answers.expect(Answer(offset: offset, count: count, continuation: continuation), of: task)
        task.resume()
      }
    } onCancel: {
      answers.cancel(task)
    }
  }
}

/// What a request waits for.
private struct Answer {
  let offset: Int
  let count: Int
  let continuation: CheckedContinuation<Data, any Error>
  var data = Data()
  var failure: SphereEdgeError?
}

/// Collects the answers of a session; one that is longer than what was asked for ends.
private final class Answers: NSObject, URLSessionDataDelegate {
  private let waiting = Guarded<[Int: Answer]>([:])
  private let cancelled = Guarded<Set<Int>>([])

  func expect(_ answer: Answer, of task: URLSessionTask) {
    let isCancelled = waiting.with { waiting in
      if cancelled.with({ $0.remove(task.taskIdentifier) }) != nil { return true }
      waiting[task.taskIdentifier] = answer
      return false
    }
    if isCancelled { answer.continuation.resume(throwing: CancellationError()) }
  }

  /// Does not wait for the session, which may say nothing of a task that is cancelled before it begins.
  func cancel(_ task: URLSessionTask) {
    let answer = waiting.with { waiting in
      let answer = waiting.removeValue(forKey: task.taskIdentifier)
      if answer == nil { cancelled.with { _ = $0.insert(task.taskIdentifier) } }
      return answer
    }
    answer?.continuation.resume(throwing: CancellationError())
    task.cancel()
  }

  func urlSession(
    _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
    completionHandler: @escaping @Sendable (URLSession.ResponseDisposition) -> Void
  ) {
    let isWanted = waiting.with { waiting in
      guard let answer = waiting[dataTask.taskIdentifier] else { return false }
      let problem = Self.problem(of: response, answer)
      waiting[dataTask.taskIdentifier]?.failure = problem
      return problem == nil
    }
    completionHandler(isWanted ? .allow : .cancel)
  }

  func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
    let isTooLong = waiting.with { waiting in
      waiting[dataTask.taskIdentifier]?.data.append(data)
      guard let answer = waiting[dataTask.taskIdentifier], answer.data.count > answer.count else { return false }
      waiting[dataTask.taskIdentifier]?.failure = unavailable("the server sends more than `\(answer.count)` bytes")
      return true
    }
    if isTooLong { dataTask.cancel() }
  }

  func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
    guard let answer = waiting.with({ $0.removeValue(forKey: task.taskIdentifier) }) else { return }
    if let failure = answer.failure {
      answer.continuation.resume(throwing: failure)
    } else if let error {
      answer.continuation.resume(throwing: unavailable("the server does not answer: \(error.localizedDescription)"))
    } else {
      answer.continuation.resume(returning: answer.data)
    }
  }

  private static func problem(of response: URLResponse, _ answer: Answer) -> SphereEdgeError? {
    guard let response = response as? HTTPURLResponse else { return unavailable("the server does not speak HTTP") }
    switch response.statusCode {
    case 206:
      let range = response.value(forHTTPHeaderField: "Content-Range") ?? ""
      return range.hasPrefix("bytes \(answer.offset)-") ? nil : unavailable("the server sends another part, `\(range)`")
    // All of it, which is the same for a file that fits into one part.
    case 200: return answer.offset == 0 ? nil : unavailable("the server does not know `Range`")
    default: return unavailable("the server answers with `\(response.statusCode)`")
    }
  }
}

private func unavailable(_ message: String) -> SphereEdgeError {
  SphereEdgeError(.unavailable, message, hint: "try again: it goes on from there")
}
