// Of SwiftUI what rendered apps use, with its own signatures; the other files here are the same for other modules.
import Foundation

@MainActor @preconcurrency public protocol View {
  associatedtype Body: View
  @ViewBuilder @MainActor @preconcurrency var body: Body { get }
}

extension Never: View {
  public var body: Never { fatalError("a stub") }
}

@MainActor @preconcurrency public protocol Scene {
  associatedtype Body: Scene
  @SceneBuilder @MainActor @preconcurrency var body: Body { get }
}

extension Never: Scene {}

@MainActor @preconcurrency public protocol App {
  associatedtype Body: Scene
  @SceneBuilder @MainActor @preconcurrency var body: Body { get }
  init()
}

extension App {
  public static func main() {}
}

@resultBuilder public enum SceneBuilder {
  public static func buildBlock<Content: Scene>(_ content: Content) -> Content { content }
}

@resultBuilder public enum ViewBuilder {
  public static func buildExpression<Content: View>(_ content: Content) -> Content { content }
  public static func buildBlock() -> EmptyView { EmptyView() }
  public static func buildBlock<Content: View>(_ content: Content) -> Content { content }
  public static func buildBlock<each Content: View>(_ content: repeat each Content) -> TupleView<(repeat each Content)> {
    TupleView((repeat each content))
  }
  public static func buildIf<Content: View>(_ content: Content?) -> Content? { content }
  public static func buildEither<First: View, Second: View>(first: First) -> ConditionalContent<First, Second> { .first(first) }
  public static func buildEither<First: View, Second: View>(second: Second) -> ConditionalContent<First, Second> { .second(second) }
}

public struct EmptyView: View {
  public typealias Body = Never
  public var body: Never { fatalError("a stub") }
  public nonisolated init() {}
}

public struct TupleView<Content>: View {
  public typealias Body = Never
  public var body: Never { fatalError("a stub") }
  public nonisolated init(_ value: Content) {}
}

public enum ConditionalContent<First: View, Second: View>: View {
  case first(First)
  case second(Second)
  public var body: Never { fatalError("a stub") }
}

extension Optional: View where Wrapped: View {
  public var body: Never { fatalError("a stub") }
}

public struct WindowGroup<Content: View>: Scene {
  public var body: Never { fatalError("a stub") }
  public nonisolated init(@ViewBuilder content: () -> Content) {}
}

public struct TabView<Content: View>: View {
  public var body: Never { fatalError("a stub") }
  public nonisolated init(@ViewBuilder content: () -> Content) {}
}

public struct Label: View {
  public var body: Never { fatalError("a stub") }
  public nonisolated init(_ title: String, systemImage name: String) {}
}

public enum HorizontalAlignment { case leading, center, trailing }
public enum VerticalAlignment { case top, center, bottom }

public struct VStack<Content: View>: View {
  public var body: Never { fatalError("a stub") }
  public nonisolated init(alignment: HorizontalAlignment = .center, spacing: CGFloat? = nil, @ViewBuilder content: () -> Content) {}
}

public struct LazyVStack<Content: View>: View {
  public var body: Never { fatalError("a stub") }
  public nonisolated init(alignment: HorizontalAlignment = .center, spacing: CGFloat? = nil, @ViewBuilder content: () -> Content) {}
}

public struct HStack<Content: View>: View {
  public var body: Never { fatalError("a stub") }
  public nonisolated init(alignment: VerticalAlignment = .center, spacing: CGFloat? = nil, @ViewBuilder content: () -> Content) {}
}

public struct ScrollView<Content: View>: View {
  public var body: Never { fatalError("a stub") }
  public nonisolated init(@ViewBuilder content: () -> Content) {}
}

public struct ForEach<Data: RandomAccessCollection, ID: Hashable, Content: View>: View {
  public var body: Never { fatalError("a stub") }
  public nonisolated init(_ data: Data, id: KeyPath<Data.Element, ID>, @ViewBuilder content: @escaping (Data.Element) -> Content) {}
}

extension ForEach where ID == Data.Element.ID, Data.Element: Identifiable {
  public nonisolated init(_ data: Data, @ViewBuilder content: @escaping (Data.Element) -> Content) {}
}

public struct Text: View {
  public var body: Never { fatalError("a stub") }
  public nonisolated init(_ content: String) {}
  public nonisolated init(_ content: AttributedString) {}
  public nonisolated func font(_ font: Font?) -> Text { self }
}

public struct Font: Sendable {
  public static let caption = Font()
}

public struct Button<Label: View>: View {
  public var body: Never { fatalError("a stub") }
}

extension Button where Label == Text {
  public nonisolated init(_ title: String, action: @escaping @MainActor () -> Void) {}
}

public struct TextField: View {
  public var body: Never { fatalError("a stub") }
  public nonisolated init(_ title: String, text: Binding<String>) {}
}

public struct Image: View {
  public var body: Never { fatalError("a stub") }
  public nonisolated func resizable() -> Image { self }
}

@propertyWrapper public struct Binding<Value> {
  public init(wrappedValue value: Value) {}
  public var wrappedValue: Value { get { fatalError("a stub") } nonmutating set {} }
}

@propertyWrapper public struct State<Value> {
  public nonisolated init(wrappedValue value: Value) {}
  public var wrappedValue: Value { get { fatalError("a stub") } nonmutating set {} }
  public var projectedValue: Binding<Value> { fatalError("a stub") }
}

public struct TextFieldStyle { public static let roundedBorder = TextFieldStyle() }
public struct TextSelectability { public static let enabled = TextSelectability() }
public struct HierarchicalShapeStyle { public static let secondary = HierarchicalShapeStyle() }
extension TextFieldStyle: Sendable {}
extension TextSelectability: Sendable {}
extension HierarchicalShapeStyle: Sendable {}

extension View {
  public nonisolated func tabItem<V: View>(@ViewBuilder _ label: () -> V) -> some View { self }
  public nonisolated func padding() -> some View { self }
  public nonisolated func disabled(_ disabled: Bool) -> some View { self }
  public nonisolated func scaledToFit() -> some View { self }
  public nonisolated func textFieldStyle(_ style: TextFieldStyle) -> some View { self }
  public nonisolated func textSelection(_ selectability: TextSelectability) -> some View { self }
  public nonisolated func foregroundStyle(_ style: HierarchicalShapeStyle) -> some View { self }
}

extension AttributedString {
  public struct MarkdownParsingOptions: Sendable {
    public enum InterpretedSyntax: Sendable { case full, inlineOnly, inlineOnlyPreservingWhitespace }
    public init(interpretedSyntax: InterpretedSyntax = .full) {}
  }

  public init(markdown: String, options: MarkdownParsingOptions = .init()) throws { fatalError("a stub") }
}
