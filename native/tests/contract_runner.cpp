// Runs the cases of tests/contract with the C API: contract_runner MODELS.json FOLDER CASES.json…
#include <algorithm>
#include <cstdio>
#include <map>

#include "contract_media.h"

namespace {

// A closed handle is gone in C: there is nothing that could answer.
const std::vector<std::string> kCapabilities = {"text", "audio", "image", "embed", "save", "structured", "tools"};

// One case: a model that is open, and what its steps gave.
class Case {
 public:
  Case(const Json &models, std::string folder) : models_(models), folder_(std::move(folder)) {}
  ~Case() {
    se_text_close(text_);
    se_audio_close(audio_);
    se_image_close(image_);
  }
  Case(const Case &) = delete;

  void run(const Json &document) {
    if (document.contains("model")) {
      const std::string model = document["model"];
      const std::string manager = model == "gguf" ? "text" : model;
      open(manager, path(model), document.value("open", Json::object()));
    }
    for (const Json &step : document["steps"]) {
      for (const auto &[key, _] : step.items()) {
        if (key != "id" && key != "call" && key != "with" && key != "after" && key != "expect") {
          throw std::runtime_error("unknown key " + key);
        }
      }
      Json output = {{"status", "OK"}};
      try {
        output.update(call(step["call"], step.value("with", Json::object()), step.value("after", Json())));
      } catch (const Failed &failed) {
        output = {{"status", se_status_name(failed.status)}, {"message", se_last_error()}};
      }
      outputs_[step.value("id", "")] = output;
      for (const auto &[field, expected] : step["expect"].items()) {
        const Json conditions = expected.is_object() ? expected : Json{{"equals", expected}};
        for (const auto &[condition, value] : conditions.items()) {
          if (holds(output.value(field, Json()), condition, value, field)) continue;
          throw std::runtime_error(step["call"].get<std::string>() + ", " + field + ": not " + condition + " " +
                                   value.dump() + ": " + output.dump().substr(0, 400));
        }
      }
    }
  }

 private:
  bool holds(const Json &found, const std::string &condition, const Json &value, const std::string &field) {
    if (condition == "equals") return found == value;
    if (condition == "same_as") return found == outputs_.at(value).at(field);
    if (condition == "differs_from") return found != outputs_.at(value).at(field);
    if (condition == "at_least") return found >= value;
    if (condition == "at_most") return found <= value;
    if (condition == "contains") return found.get<std::string>().find(value) != std::string::npos;
    throw std::runtime_error("unknown condition " + condition);
  }

  std::string path(const std::string &name) const { return models_.at(name); }

  void open(const std::string &manager, const std::string &model, const Json &given) {
    if (manager == "text") {
      auto options = sized<se_text_open_options>();
      fill(options, given, kept_);
      check(se_text_open(model.c_str(), &options, &text_));
    } else if (manager == "audio") {
      check(se_audio_open(model.c_str(), nullptr, &audio_));
    } else {
      check(se_image_open(model.c_str(), nullptr, &image_));
    }
  }

  Json call(const std::string &name, const Json &with, const Json &after) {
    const Json request = with.value("request", Json::object());
    if (name.ends_with(".open")) {
      Case other(models_, folder_);
      other.open(name.substr(0, name.size() - 5), path(with["model"]), with.value("options", Json::object()));
    } else if (name == "text.generate" || name == "text.chat") {
      return answer(with, request, after);
    } else if (name == "text.render_chat") {
      char *prompt = nullptr;
      check(se_text_render_chat(text_, with["messages"].dump().c_str(), &prompt));
      return {{"text", taken(prompt)}};
    } else if (name == "text.tokenize") {
      const std::string text = with["text"];
      std::vector<int32_t> ids(text.size() + 8);
      size_t count = 0;
      check(se_text_tokenize(text_, text.data(), text.size(), with.value("add_special", true), false, ids.data(),
                             ids.size(), &count));
      ids.resize(count);
      return {{"ids", ids}};
    } else if (name == "text.detokenize") {
      const std::vector<int32_t> ids = with["ids"];
      char *text = nullptr;
      check(se_text_detokenize(text_, ids.data(), ids.size(), false, &text, nullptr));
      return {{"text", taken(text)}};
    } else if (name == "text.embed") {
      return vectors(text_, with["texts"], request);
    } else if (name == "text.save" || name == "text.restore") {
      const std::string file =
          with.contains("model") ? path(with["model"]) : folder_ + "/" + with["file"].get<std::string>();
      const char *key = with.contains("sequence_key") ? kept_.text(with["sequence_key"]) : nullptr;
      size_t tokens = 0;
      check((name == "text.save" ? se_text_save : se_text_restore)(text_, key, file.c_str(), &tokens));
      return {{"tokens", tokens}};
    } else if (name == "text.reset") {
      check(se_text_reset(text_));
    } else if (name == "audio.transcribe" || name == "audio.stream") {
      return transcript(audio_, samples_of(path(with["file"])), request,
                        name == "audio.stream" ? with["block"].get<size_t>() : 0);
    } else if (name == "image.generate") {
      return images(image_, with["prompt"], request);
    } else {
      throw std::runtime_error("unknown call " + name);
    }
    return Json::object();
  }

  Json answer(const Json &with, const Json &request, const Json &after) {
    se_text_generate_options options{};
    check(se_text_default_options(text_, &options, sizeof(options)));
    fill(options, request, kept_);
    Seen seen{.text = text_, .after = after};
    auto result = sized<se_text_result>();
    se_status status = SE_OK;
    if (with.contains("prompt")) {
      const std::string prompt = with["prompt"];
      status = se_text_generate(text_, prompt.c_str(), &options, on_delta, &seen, &result);
    } else {
      Json document = with.value("options", Json::object());
      document["messages"] = with["messages"];
      status = se_text_chat(text_, document.dump().c_str(), &options, on_delta, &seen, &result);
    }
    if (status != SE_CANCELLED) check(status);
    if (!after.is_null() && after["do"] == "end_reader") return {{"pieces", seen.pieces}};
    for (Json &one : seen.calls) one["arguments"] = read(one["arguments"]);
    const char *const reasons[] = {"stop", "length", "cancelled", "tool_calls"};
    return {{"status", se_status_name(status)},
            {"text", seen.answer},
            {"json", read(seen.answer)},
            {"pieces", seen.pieces},
            {"logprobs", seen.logprobs},
            {"top_logprobs", seen.top_logprobs},
            {"tool_calls", seen.calls},
            {"finish_reason", reasons[result.finish_reason]},
            {"stop_index", result.stop_index < 0 ? Json() : Json(result.stop_index)},
            {"prompt_tokens", result.prompt_tokens},
            {"cached_tokens", result.cached_tokens},
            {"completion_tokens", result.completion_tokens},
            {"reasoning_tokens", result.reasoning_tokens},
            {"seed", result.seed}};
  }

  const Json &models_;
  const std::string folder_;
  Kept kept_;
  std::map<std::string, Json> outputs_;
  se_text *text_ = nullptr;
  se_audio *audio_ = nullptr;
  se_image *image_ = nullptr;
};

}  // namespace

int main(int count, char **words) {
  if (count < 4) return 2;
  const Json models = Json::parse(std::ifstream(words[1]));
  bool is_right = true;
  for (int i = 3; i < count; i++) {
    const Json file = Json::parse(std::ifstream(words[i]));
    for (const Json &document : file.at("cases")) {
      const std::string name = document["name"];
      bool is_able = true;
      for (const std::string need : document["needs"]) {
        is_able = is_able && std::count(kCapabilities.begin(), kCapabilities.end(), need) > 0;
      }
      if (!is_able) {
        std::printf("not able: %s\n", name.c_str());
        continue;
      }
      try {
        Case(models, words[2]).run(document);
        std::printf("ran: %s\n", name.c_str());
      } catch (const std::exception &error) {
        std::printf("failed: %s: %s\n", name.c_str(), error.what());
        is_right = false;
      } catch (const Failed &failed) {
        std::printf("failed: %s: %s\n", name.c_str(), se_status_name(failed.status));
        is_right = false;
      }
    }
  }
  return is_right ? 0 : 1;
}
