// How images are generated; the names are those of Python and C.
import CSphereEdge
import Foundation

/// How images are generated; nil: the model's own default.
public struct ImageRequest: Sendable, Hashable, Codable {
  public var negativePrompt: String?
  public var width: Int?
  public var height: Int?
  public var steps: Int?
  public var sampler: String?
  public var schedule: String?
  public var cfgScale: Float?
  public var guidance: Float?
  /// Below 2^31; the same one gives the same image.
  public var seed: Int?
  /// So many images, with seeds that follow each other.
  public var batch: Int?
  /// RGB, an image to start from; `width` and `height` are its own if they are nil.
  public var initImage: Pixels?
  /// How much of `initImage` is changed, above 0 up to 1.
  public var strength: Float?
  /// One byte per pixel, of the size of `initImage`: white is generated, black is kept.
  public var mask: Pixels?
  public var loras: [Lora]?
  public var vaeTiling: Bool?
  /// Small previews come with the progress, if the family has them.
  public var preview: Bool?
  public var timeoutSeconds: Double?

  public init(width: Int? = nil, height: Int? = nil, steps: Int? = nil, seed: Int? = nil, batch: Int? = nil) {
    self.width = width
    self.height = height
    self.steps = steps
    self.seed = seed
    self.batch = batch
  }

  /// Over the model's defaults in `options`; what it points to is kept by `memory`.
  func fill(_ options: inout se_image_generate_options, _ memory: Memory) throws {
    options.negative_prompt = try memory.string("negativePrompt", optional: negativePrompt)
    options.sampler = try memory.string("sampler", optional: sampler)
    options.schedule = try memory.string("schedule", optional: schedule)
    if let width = width ?? initImage?.width { options.width = try fitted("width", width, UInt32.self) }
    if let height = height ?? initImage?.height { options.height = try fitted("height", height, UInt32.self) }
    try fillImages(&options, memory)
    if let steps { options.steps = try fitted("steps", steps, UInt32.self) }
    if let batch { options.batch = try fitted("batch", batch, UInt32.self) }
    if let seed {
      guard (0...Int(Int32.max)).contains(seed) else {
        throw SphereEdgeError(.invalidArgument, "`\(seed)` is not a value of seed", hint: "give a number from 0 to 2147483647")
      }
      options.seed = UInt32(seed)
    }
    options.cfg_scale = cfgScale ?? options.cfg_scale
    options.guidance = guidance ?? options.guidance
    options.vae_tiling = vaeTiling ?? false
    options.preview = preview ?? false
    let changes = try (loras ?? []).map { lora in
      var filled = se_image_lora()
      filled.path = try memory.string("the path of a LoRA", lora.path.path)
      filled.strength = lora.strength
      return filled
    }
    options.loras = UnsafePointer(memory.array(changes))
    options.lora_count = changes.count
    options.timeout_ms = try milliseconds(timeoutSeconds)
  }
  private func fillImages(_ options: inout se_image_generate_options, _ memory: Memory) throws {
    if strength != nil && initImage == nil {
      throw SphereEdgeError(.invalidArgument, "a strength needs an image to start from")
    }
    options.strength = strength ?? options.strength
    if let initImage {
      options.`init` = try memory.pixels("an initial image", initImage, channels: 3)
      options.init_width = UInt32(initImage.width)
      options.init_height = UInt32(initImage.height)
    }
    if let mask {
      options.mask = try memory.pixels("a mask", mask, channels: 1)
      options.mask_width = UInt32(mask.width)
      options.mask_height = UInt32(mask.height)
    }
  }
}

/// A small change of a model, a safetensors or GGUF file, and how strongly it is applied.
public struct Lora: Sendable, Hashable, Codable {
  public var path: URL
  public var strength: Float

  public init(_ path: URL, strength: Float = 1) {
    self.path = path
    self.strength = strength
  }
}
