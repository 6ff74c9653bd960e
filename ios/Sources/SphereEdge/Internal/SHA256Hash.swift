// SHA-256 of files and texts: Apple's own, or FIPS 180-4 as it is written where that is not to be had.
import Foundation

#if canImport(CryptoKit)
  import CryptoKit

  typealias SHA256Hash = SHA256
#else
  /// Used as CryptoKit's SHA256.
  struct SHA256Hash {
    private static let constants: [UInt32] = [
      0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
      0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
      0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
      0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
      0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
      0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
      0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
      0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
    ]
    private var state: [UInt32] = [
      0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
    ]
    private var schedule = [UInt32](repeating: 0, count: 64)
    private var rest: [UInt8] = []
    private var count: UInt64 = 0

    mutating func update(data: Data) {
      count += UInt64(data.count)
      var bytes = rest
      bytes += data
      let whole = bytes.count / 64 * 64
      bytes.withUnsafeBufferPointer { all in
        for start in stride(from: 0, to: whole, by: 64) { add(all, start) }
      }
      rest = Array(bytes[whole...])
    }

    /// The 32 bytes of the hash.
    func finalize() -> [UInt8] {
      var last = self
      let padding = [0x80] + [UInt8](repeating: 0, count: (119 - rest.count) % 64)
      last.update(data: Data(padding + (0..<8).map { UInt8(truncatingIfNeeded: (count * 8) >> (56 - 8 * $0)) }))
      return last.state.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (24 - 8 * $0)) } }
    }

    private mutating func add(_ block: UnsafeBufferPointer<UInt8>, _ start: Int) {
      for at in 0..<16 {
        schedule[at] = (0..<4).reduce(0) { $0 << 8 | UInt32(block[start + 4 * at + $1]) }
      }
      for at in 16..<64 {
        let (early, late) = (schedule[at - 15], schedule[at - 2])
        let low = turned(early, 7) ^ turned(early, 18) ^ early >> 3
        let high = turned(late, 17) ^ turned(late, 19) ^ late >> 10
        schedule[at] = schedule[at - 16] &+ low &+ schedule[at - 7] &+ high
      }
      var (a, b, c, d, e, f, g, h) = (state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7])
      for at in 0..<64 {
        let chosen = e & f ^ ~e & g
        let majority = a & b ^ a & c ^ b & c
        let one = h &+ (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) &+ chosen &+ Self.constants[at] &+ schedule[at]
        let two = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) &+ majority
        (h, g, f, e, d, c, b, a) = (g, f, e, d &+ one, c, b, a, one &+ two)
      }
      for (at, value) in [a, b, c, d, e, f, g, h].enumerated() { state[at] = state[at] &+ value }
    }

    private func turned(_ word: UInt32, _ bits: UInt32) -> UInt32 {
      word >> bits | word << (32 - bits)
    }
  }
#endif

extension SHA256Hash {
  /// As manifests have it.
  var digits: String {
    finalize().map { byte in String(byte >> 4, radix: 16) + String(byte & 15, radix: 16) }.joined()
  }
}
