@_exported import Foundation

public typealias AVAudioFrameCount = UInt32
public typealias AVAudioNodeBus = Int
public typealias AVAudioNodeTapBlock = (AVAudioPCMBuffer, AVAudioTime) -> Void

public class AVAudioTime {}

public class AVAudioFormat: @unchecked Sendable {
  public init?(standardFormatWithSampleRate sampleRate: Double, channels: UInt32) { nil }
  public var sampleRate: Double { fatalError("a stub") }
}

public class AVAudioBuffer {
  public var format: AVAudioFormat { fatalError("a stub") }
}

public class AVAudioPCMBuffer: AVAudioBuffer {
  public init?(pcmFormat format: AVAudioFormat, frameCapacity: AVAudioFrameCount) { nil }
  public var frameLength: AVAudioFrameCount { fatalError("a stub") }
  public var floatChannelData: UnsafePointer<UnsafeMutablePointer<Float>>? { fatalError("a stub") }
}

public enum AVAudioConverterInputStatus: Int { case haveData, noDataNow, endOfStream }
public enum AVAudioConverterOutputStatus: Int { case haveData, inputRanDry, endOfStream, error }
public typealias AVAudioConverterInputBlock =
  @Sendable (AVAudioFrameCount, UnsafeMutablePointer<AVAudioConverterInputStatus>) -> AVAudioBuffer?

public class AVAudioConverter {
  public init?(from: AVAudioFormat, to: AVAudioFormat) { nil }
  @discardableResult public func convert(
    to: AVAudioBuffer, error: UnsafeMutablePointer<NSError?>?, withInputFrom: AVAudioConverterInputBlock
  ) -> AVAudioConverterOutputStatus { fatalError("a stub") }
}

public class AVAudioNode {
  public func outputFormat(forBus bus: AVAudioNodeBus) -> AVAudioFormat { fatalError("a stub") }
  public func installTap(
    onBus bus: AVAudioNodeBus, bufferSize: AVAudioFrameCount, format: AVAudioFormat?, block: @escaping AVAudioNodeTapBlock
  ) {}
  public func removeTap(onBus bus: AVAudioNodeBus) {}
}

public class AVAudioInputNode: AVAudioNode {}

public class AVAudioEngine {
  public init() {}
  public var inputNode: AVAudioInputNode { fatalError("a stub") }
  public func start() throws {}
  public func stop() {}
}

public class AVAudioSession {
  public struct Category: Sendable { public static let record = Category() }
  public static func sharedInstance() -> AVAudioSession { fatalError("a stub") }
  public func setCategory(_ category: Category) throws {}
  public func setActive(_ active: Bool) throws {}
}

public class AVAudioApplication {
  public static func requestRecordPermission() async -> Bool { fatalError("a stub") }
}
