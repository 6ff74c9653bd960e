// The command certify: computes what the reference contains and reports the differences; the caller judges them.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>

#include "commands.h"
#include "reference.h"

namespace runner {
namespace {

constexpr size_t kSamples = 16;

// FNV-1a over the bits of a row: two runs of the same code on the same input give the same.
uint64_t digest_of(const float *row, size_t count) {
  uint64_t digest = 14695981039346656037U;
  const auto *bytes = reinterpret_cast<const unsigned char *>(row);
  for (size_t i = 0; i < count * sizeof(float); ++i) digest = (digest ^ bytes[i]) * 1099511628211U;
  return digest;
}

// The largest differences of all runs of one step from the reference.
struct Finding {
  size_t runs = 0;
  size_t rows = 0;
  size_t non_finite = 0;
  double largest = 0;  // logit difference
  double mean = 0;     // of a row's magnitudes
  double log_sum_exp = 0;
  size_t wrong_tokens = 0;
  double wrong_margin = 0;  // the largest reference margin of a token that differs
  std::map<size_t, std::set<uint64_t>> digests;

  void add(const Reference &reference, size_t position, const float *row, size_t vocabulary) {
    digests[position].insert(digest_of(row, vocabulary));
    for (size_t i = 0; i < vocabulary; ++i) non_finite += std::isfinite(row[i]) ? 0 : 1;
    const auto found = reference.rows.find(position);
    if (found == reference.rows.end()) return;
    compare(reference, found->second, row);
  }

  Json as_json(const ReferenceStep &step) const {
    const bool repeats =
        std::all_of(digests.begin(), digests.end(), [](const auto &one) { return one.second.size() == 1; });
    return {{"name", step.name},
            {"length", step.length},
            {"runs", runs},
            {"rows", rows},
            {"repeats", repeats},
            {"non_finite", non_finite},
            {"largest", largest},
            {"mean", mean},
            {"log_sum_exp", log_sum_exp},
            {"wrong_tokens", wrong_tokens},
            {"wrong_margin", wrong_margin}};
  }

 private:
  void compare(const Reference &reference, const ReferenceRow &expected, const float *row) {
    ++rows;
    double sum = 0;
    double most = 0;
    for (size_t i = 0; i < expected.values.size(); ++i) {
      const double difference = std::fabs(static_cast<double>(row[reference.columns[i]]) - expected.values[i]);
      sum += difference;
      most = std::max(most, difference);
    }
    largest = std::max(largest, most);
    mean = std::max(mean, sum / static_cast<double>(expected.values.size()));
    const float *end = row + reference.vocabulary;
    const float *best = std::max_element(row, end);
    double total = 0;
    for (const float *logit = row; logit < end; ++logit) total += std::exp(static_cast<double>(*logit - *best));
    log_sum_exp = std::max(log_sum_exp, std::fabs(*best + std::log(total) - expected.log_sum_exp));
    if (best - row == expected.token) return;
    ++wrong_tokens;
    wrong_margin = std::max(wrong_margin, expected.margin);
  }
};

std::vector<int32_t> tokens_of(const Reference &reference, const ReferenceStep &step) {
  const auto begin = reference.tokens.begin();
  std::vector<int32_t> tokens(begin, begin + static_cast<std::ptrdiff_t>(step.length));
  const auto detour = reference.detour.begin();
  tokens.insert(tokens.end(), detour, detour + static_cast<std::ptrdiff_t>(step.detour));
  return tokens;
}

void take(Model &model, const Reference &reference, const ReferenceStep &step, size_t vocabulary, Finding &finding) {
  const std::vector<int32_t> tokens = tokens_of(reference, step);
  if (step.from_empty) model.reset();
  ++finding.runs;
  if (!step.score) {
    const std::vector<float> row = model.next_logits(tokens, vocabulary);
    // A position beyond the reference's tokens: checked for repeats, not compared.
    const size_t position = step.detour == 0 ? tokens.size() : reference.tokens.size() + step.detour;
    finding.add(reference, position, row.data(), vocabulary);
    return;
  }
  const std::vector<float> rows = model.logits(tokens, vocabulary);
  for (size_t i = 0; i < tokens.size(); ++i) {
    finding.add(reference, i + 1, rows.data() + i * vocabulary, vocabulary);
  }
}

Json samples_of(const se_kernel_tensor &tensor) {
  const float *row = tensor.values + (tensor.rows - 1) * tensor.columns;
  Json samples = Json::array();
  for (size_t i = 0; i < kSamples; ++i) samples.push_back(row[i * tensor.columns / kSamples]);
  double squares = 0;
  size_t non_finite = 0;
  for (size_t i = 0; i < tensor.columns; ++i) {
    squares += static_cast<double>(row[i]) * row[i];
    non_finite += std::isfinite(row[i]) ? 0 : 1;
  }
  return {{"columns", tensor.columns}, {"norm", std::sqrt(squares)}, {"non_finite", non_finite}, {"samples", samples}};
}

void on_kernel(const char *kernel, const se_kernel_tensor *tensors, size_t count, void *user_data) {
  Json samples = Json::array();
  for (size_t i = 0; i < count; ++i) {
    if (tensors[i].rows > 0 && tensors[i].columns > 0) samples.push_back(samples_of(tensors[i]));
  }
  static_cast<Json *>(user_data)->push_back({{"kernel", kernel}, {"tensors", samples}});
}

// The last row of every kernel's tensors, in a prefill and in the decode after it.
Json trace(Model &model, const Reference &reference, size_t vocabulary) {
  Json kernels = Json::array();
  const auto begin = reference.tokens.begin();
  const auto count = static_cast<std::ptrdiff_t>(reference.trace_tokens);
  model.reset();
  check(se_text_set_trace(model.handle(), on_kernel, &kernels));
  model.next_logits({begin, begin + count}, vocabulary);
  model.next_logits({begin, begin + count + 1}, vocabulary);
  check(se_text_set_trace(model.handle(), nullptr, nullptr));
  return kernels;
}

}  // namespace

void run_certify(const Arguments &arguments) {
  const std::string path = arguments.word(0, "MODEL");
  const auto repeat = arguments.number("--repeat", 5, 1, 10000);
  const Reference reference = read_reference(arguments.text("--reference").value_or(path + "/certify"));
  Model model = open_model(arguments);
  Json report = model.info();
  const auto vocabulary = report["vocab_size"].get<size_t>();
  if (reference.vocabulary > vocabulary || reference.vocabulary == 0) {
    throw Failure{SE_MODEL_CORRUPT, "the reference is of another model", "package the model again"};
  }
  report["version"] = se_version();
  if (arguments.has("--trace")) {
    report["kernels"] = trace(model, reference, vocabulary);
    print_json(report);
    return;
  }
  const auto begin = std::chrono::steady_clock::now();
  std::vector<Finding> findings(reference.steps.size());
  for (int64_t run = 0; run < repeat; ++run) {
    for (size_t i = 0; i < findings.size(); ++i) {
      const ReferenceStep &step = reference.steps[i];
      if (!arguments.has("--short") || step.is_short) take(model, reference, step, vocabulary, findings[i]);
    }
  }
  report["repeat"] = repeat;
  report["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  report["steps"] = Json::array();
  for (size_t i = 0; i < findings.size(); ++i) {
    if (findings[i].runs > 0) report["steps"].push_back(findings[i].as_json(reference.steps[i]));
  }
  print_json(report);
}

}  // namespace runner
