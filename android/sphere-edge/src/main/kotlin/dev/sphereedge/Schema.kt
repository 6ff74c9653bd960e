// JSON schemas of serializable classes, which the engine's answers follow.
package dev.sphereedge

import kotlinx.serialization.ExperimentalSerializationApi
import kotlinx.serialization.SerialInfo
import kotlinx.serialization.descriptors.PolymorphicKind
import kotlinx.serialization.descriptors.PrimitiveKind
import kotlinx.serialization.descriptors.SerialDescriptor
import kotlinx.serialization.descriptors.SerialKind
import kotlinx.serialization.descriptors.StructureKind
import kotlinx.serialization.descriptors.elementDescriptors
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive

/**
 * What a field of a serializable class may hold. [description] is for the model to read; [choices] are the strings that
 * it may be; [minimum] and [maximum] bound a whole number, [minItems] and [maxItems] a list, [minLength] and
 * [maxLength] a string, which follows [pattern].
 */
@OptIn(ExperimentalSerializationApi::class)
@SerialInfo
@Target(AnnotationTarget.PROPERTY)
public annotation class Guide(
    val description: String = "",
    val choices: Array<String> = [],
    val minimum: Long = Long.MIN_VALUE,
    val maximum: Long = Long.MAX_VALUE,
    val minLength: Int = 0,
    val maxLength: Int = Int.MAX_VALUE,
    val minItems: Int = 0,
    val maxItems: Int = Int.MAX_VALUE,
    val pattern: String = "",
)

/** JSON schemas for `response_format` and tools. */
@OptIn(ExperimentalSerializationApi::class)
public object Schema {
    private const val DEEPEST = 32

    /**
     * The schema of what [descriptor] describes. Properties with a default may be left out, classes of a sealed one are
     * told apart by `type`. Throws UNSUPPORTED for what JSON cannot hold (maps with other keys than strings), for what is
     * open (any class, contextual) and for classes that contain themselves.
     */
    public fun of(descriptor: SerialDescriptor): JsonObject = schema(descriptor, null, emptyList())

    private fun schema(descriptor: SerialDescriptor, guide: Guide?, inside: List<String>): JsonObject {
        val name = descriptor.serialName.removeSuffix("?")
        if (inside.size > DEEPEST) throw unsupported(name, "it is nested too deeply")
        val made = if (descriptor.isInline) {
            return schema(descriptor.getElementDescriptor(0), guide, inside).orNull(descriptor)
        } else {
            when (val kind = descriptor.kind) {
                is PrimitiveKind -> primitive(kind, guide)
                SerialKind.ENUM -> JsonObject(mapOf("enum" to texts(List(descriptor.elementsCount, descriptor::getElementName))))
                StructureKind.LIST -> list(descriptor, guide, inside)
                StructureKind.MAP -> map(descriptor, inside)
                StructureKind.CLASS, StructureKind.OBJECT -> {
                    if (name in inside) throw unsupported(name, "it contains itself")
                    JsonObject(properties(descriptor, inside + name))
                }
                PolymorphicKind.SEALED -> sealed(descriptor, inside)
                PolymorphicKind.OPEN, SerialKind.CONTEXTUAL -> throw unsupported(name, "it may be any class")
            }
        }
        return made.orNull(descriptor).described(guide)
    }

    private fun primitive(kind: PrimitiveKind, guide: Guide?): JsonObject = when (kind) {
        PrimitiveKind.BOOLEAN -> type("boolean")
        PrimitiveKind.BYTE, PrimitiveKind.SHORT, PrimitiveKind.INT, PrimitiveKind.LONG -> whole(kind, guide)
        PrimitiveKind.FLOAT, PrimitiveKind.DOUBLE -> type("number")
        PrimitiveKind.CHAR -> type("string", "minLength" to JsonPrimitive(1), "maxLength" to JsonPrimitive(1))
        PrimitiveKind.STRING -> text(guide)
    }

    private fun whole(kind: PrimitiveKind, guide: Guide?): JsonObject {
        val (least, most) = when (kind) {
            PrimitiveKind.BYTE -> Byte.MIN_VALUE.toLong() to Byte.MAX_VALUE.toLong()
            PrimitiveKind.SHORT -> Short.MIN_VALUE.toLong() to Short.MAX_VALUE.toLong()
            PrimitiveKind.INT -> Int.MIN_VALUE.toLong() to Int.MAX_VALUE.toLong()
            else -> Long.MIN_VALUE to Long.MAX_VALUE
        }
        val minimum = maxOf(least, guide?.minimum ?: least)
        val maximum = minOf(most, guide?.maximum ?: most)
        // The range of a Long excludes no value, so it is left out.
        return type(
            "integer",
            "minimum" to JsonPrimitive(minimum).takeIf { minimum != Long.MIN_VALUE },
            "maximum" to JsonPrimitive(maximum).takeIf { maximum != Long.MAX_VALUE },
        )
    }

    private fun text(guide: Guide?): JsonObject = when {
        guide == null -> type("string")
        guide.choices.isNotEmpty() -> JsonObject(mapOf("enum" to texts(guide.choices.asList())))
        guide.pattern.isNotEmpty() -> type("string", "pattern" to JsonPrimitive(guide.pattern))
        else -> type("string", "minLength" to above(guide.minLength), "maxLength" to below(guide.maxLength))
    }

    private fun list(descriptor: SerialDescriptor, guide: Guide?, inside: List<String>): JsonObject = type(
        "array",
        "items" to schema(descriptor.getElementDescriptor(0), null, inside),
        "minItems" to guide?.minItems?.let(::above),
        "maxItems" to guide?.maxItems?.let(::below),
    )

    private fun map(descriptor: SerialDescriptor, inside: List<String>): JsonObject {
        if (descriptor.getElementDescriptor(0).kind != PrimitiveKind.STRING) {
            throw unsupported(descriptor.serialName, "its keys are no strings")
        }
        return type("object", "additionalProperties" to schema(descriptor.getElementDescriptor(1), null, inside))
    }

    private fun properties(of: SerialDescriptor, inside: List<String>): Map<String, JsonElement> {
        val names = List(of.elementsCount, of::getElementName)
        val each = names.indices.associate { at ->
            val guide = of.getElementAnnotations(at).filterIsInstance<Guide>().firstOrNull()
            names[at] to schema(of.getElementDescriptor(at), guide, inside)
        }
        return mapOf(
            "type" to JsonPrimitive("object"),
            "properties" to JsonObject(each),
            "required" to texts(names.filterIndexed { at, _ -> !of.isElementOptional(at) }),
            "additionalProperties" to JsonPrimitive(false),
        )
    }

    // Its elements are `type` and a value, whose own elements are the classes.
    private fun sealed(descriptor: SerialDescriptor, inside: List<String>): JsonObject {
        if (descriptor.serialName in inside) throw unsupported(descriptor.serialName, "it contains itself")
        val classes = descriptor.getElementDescriptor(1).elementDescriptors.map { one ->
            val made = properties(one, inside + descriptor.serialName + one.serialName)
            val type = mapOf("type" to JsonObject(mapOf("enum" to texts(listOf(one.serialName)))))
            val required = listOf(JsonPrimitive("type")) + (made.getValue("required") as JsonArray)
            JsonObject(made + mapOf("properties" to JsonObject(type + made.getValue("properties") as JsonObject), "required" to JsonArray(required)))
        }
        return JsonObject(mapOf("anyOf" to JsonArray(classes)))
    }

    private fun JsonObject.orNull(descriptor: SerialDescriptor): JsonObject =
        if (descriptor.isNullable) JsonObject(mapOf("anyOf" to JsonArray(listOf(this, type("null"))))) else this

    private fun JsonObject.described(guide: Guide?): JsonObject =
        if (guide == null || guide.description.isEmpty()) this else JsonObject(this + ("description" to JsonPrimitive(guide.description)))

    private fun type(name: String, vararg others: Pair<String, JsonElement?>): JsonObject {
        val known = others.mapNotNull { (key, value) -> value?.let { key to it } }
        return JsonObject(mapOf("type" to JsonPrimitive(name)) + known)
    }

    private fun texts(values: List<String>) = JsonArray(values.map(::JsonPrimitive))

    private fun above(bound: Int) = JsonPrimitive(bound).takeIf { bound > 0 }

    private fun below(bound: Int) = JsonPrimitive(bound).takeIf { bound < Int.MAX_VALUE }

    private fun unsupported(name: String, why: String) =
        SphereEdgeException(Status.UNSUPPORTED, "`$name` has no JSON schema: $why")
}
