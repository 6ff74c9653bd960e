// Wraps se_text_* for the runner.
#include "model.h"

#include <csignal>
#include <mutex>
#include <thread>
#include <utility>

namespace runner {
namespace {

std::mutex open_mutex;
// Cancels the running call of the open model; empty if none is open.
std::function<void()> cancel_open;

bool pass_on(const se_text_delta *delta, void *user_data) {
  return (*static_cast<const Model::Receiver *>(user_data))(*delta);
}

}  // namespace

void set_signal_action(std::function<void()> cancel) {
  const std::lock_guard lock(open_mutex);
  cancel_open = std::move(cancel);
}

void check(se_status status) {
  if (status != SE_OK) throw Failure{status, se_last_error(), se_last_hint()};
}

Json take_json(char *text) {
  Json value = Json::parse(text);
  se_string_free(text);
  return value;
}

Model::Model(const std::string &path, const se_text_open_options &options) {
  check(se_text_open(path.c_str(), &options, &text_));
  set_signal_action([text = text_] { se_text_cancel(text); });
}

Model::~Model() {
  set_signal_action(nullptr);
  se_text_close(text_);
}

Json Model::info() {
  char *text = nullptr;
  check(se_text_info(text_, &text));
  return take_json(text);
}

se_text_generate_options Model::defaults() {
  se_text_generate_options options = {};
  check(se_text_default_options(text_, &options, sizeof(options)));
  return options;
}

se_text_result Model::generate(const std::string &prompt, const se_text_generate_options &options,
                               const Receiver &receiver) {
  se_text_result result = {};
  result.size = sizeof(result);
  auto *user_data = const_cast<Receiver *>(&receiver);
  check(se_text_generate(text_, prompt.c_str(), &options, pass_on, user_data, &result));
  return result;
}

se_text_result Model::generate(const std::vector<int32_t> &tokens, const se_text_generate_options &options) {
  se_text_result result = {};
  result.size = sizeof(result);
  check(se_text_generate_tokens(text_, tokens.data(), tokens.size(), &options, nullptr, nullptr, &result));
  return result;
}

se_text_result Model::chat(const Json &messages, const se_text_generate_options &options, const Receiver &receiver) {
  se_text_result result = {};
  result.size = sizeof(result);
  auto *user_data = const_cast<Receiver *>(&receiver);
  check(se_text_chat(text_, messages.dump().c_str(), &options, pass_on, user_data, &result));
  return result;
}

std::vector<int32_t> Model::tokenize(const std::string &text, bool add_special) {
  size_t count = 0;
  check(se_text_tokenize(text_, text.data(), text.size(), add_special, true, nullptr, 0, &count));
  std::vector<int32_t> tokens(count);
  check(se_text_tokenize(text_, text.data(), text.size(), add_special, true, tokens.data(), tokens.size(), &count));
  return tokens;
}

std::vector<float> Model::score(const std::vector<int32_t> &tokens) {
  std::vector<float> log_probabilities(tokens.empty() ? 0 : tokens.size() - 1);
  check(se_text_score(text_, tokens.data(), tokens.size(), log_probabilities.data()));
  return log_probabilities;
}

std::vector<float> Model::logits(const std::vector<int32_t> &tokens, size_t vocabulary) {
  std::vector<float> rows(tokens.size() * vocabulary);
  check(se_text_logits(text_, tokens.data(), tokens.size(), rows.data(), rows.size()));
  return rows;
}

std::vector<float> Model::next_logits(const std::vector<int32_t> &tokens, size_t vocabulary) {
  std::vector<float> row(vocabulary);
  check(se_text_next_logits(text_, tokens.data(), tokens.size(), row.data(), row.size()));
  return row;
}

void Model::reset() { check(se_text_reset(text_)); }

void cancel_on_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  // A thread that waits for signals may take locks; a signal handler may not.
  std::thread([signals] {
    for (int signal = 0; sigwait(&signals, &signal) == 0;) {
      const std::lock_guard lock(open_mutex);
      if (!cancel_open) std::_Exit(128 + signal);
      cancel_open();
    }
  }).detach();
}

}  // namespace runner
