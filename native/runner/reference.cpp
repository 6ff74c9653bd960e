// Reads a reference and checks it before anything is computed.
#include "reference.h"

#include <cstring>

#include "commands.h"

namespace runner {
namespace {

[[noreturn]] void refuse(const std::string &problem) {
  throw Failure{SE_MODEL_CORRUPT, "the reference " + problem, "package the model again"};
}

std::vector<int32_t> ids(const Json &values, size_t vocabulary) {
  std::vector<int32_t> out;
  for (const Json &value : values) {
    const auto id = value.get<int64_t>();
    if (id < 0 || static_cast<size_t>(id) >= vocabulary) refuse("has a token out of range");
    out.push_back(static_cast<int32_t>(id));
  }
  return out;
}

ReferenceStep step_of(const Json &value, const Reference &reference) {
  ReferenceStep step{value.at("name").get<std::string>(), value.at("length").get<size_t>(),
                     value.at("detour").get<size_t>(),    value.at("from_empty").get<bool>(),
                     value.at("score").get<bool>(),       value.at("short").get<bool>()};
  if (step.length == 0 || step.length > reference.tokens.size() || step.detour > reference.detour.size()) {
    refuse("has a step beyond its tokens: `" + step.name + "`");
  }
  return step;
}

Reference parse(const Json &document, const std::string &logits) {
  Reference reference{};
  if (document.at("version") != 1) refuse("is of another version");
  reference.vocabulary = document.at("vocabulary").get<size_t>();
  reference.tokens = ids(document.at("tokens"), reference.vocabulary);
  reference.detour = ids(document.at("detour"), reference.vocabulary);
  for (const int32_t column : ids(document.at("columns"), reference.vocabulary)) {
    reference.columns.push_back(static_cast<size_t>(column));
  }
  const Json &rows = document.at("rows");
  const size_t width = reference.columns.size();
  if (width == 0 || logits.size() != rows.size() * width * sizeof(float)) refuse("has logits of another size");
  for (size_t i = 0; i < rows.size(); ++i) {
    ReferenceRow row{std::vector<float>(width), rows[i].at("token").get<int32_t>(), rows[i].at("margin").get<double>(),
                     rows[i].at("log_sum_exp").get<double>()};
    std::memcpy(row.values.data(), logits.data() + i * width * sizeof(float), width * sizeof(float));
    reference.rows.emplace(rows[i].at("position").get<size_t>(), std::move(row));
  }
  for (const Json &step : document.at("steps")) reference.steps.push_back(step_of(step, reference));
  reference.trace_tokens = document.at("trace_tokens").get<size_t>();
  if (reference.trace_tokens >= reference.tokens.size()) refuse("traces more tokens than it has");
  return reference;
}

}  // namespace

Reference read_reference(const std::string &folder) {
  const Json document = Json::parse(read_input(folder + "/reference.json"), nullptr, false);
  if (document.is_discarded()) refuse("is not JSON");
  try {
    return parse(document, read_input(folder + "/logits.f32"));
  } catch (const Json::exception &error) {
    refuse(std::string("is incomplete: ") + error.what());
  }
}

}  // namespace runner
