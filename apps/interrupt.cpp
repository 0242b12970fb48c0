#include "interrupt.h"

#include <unistd.h>

#include <csignal>
#include <string_view>

#include "app_context.h"
#include "io/file.h"

namespace mixtral {
namespace {

std::atomic<bool> interrupt_flag = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may set it");

void on_interrupt(int) { interrupt_flag = true; }

volatile std::sig_atomic_t ending_signal = 0;

void on_end(int number) {
  ending_signal = number;
  std::signal(number, SIG_DFL);
  if (!cancel_output_files()) std::raise(number);
}

// Several threads may miss bytes at once: one of them speaks, the others wait for the end.
std::atomic_flag bus_error_told = ATOMIC_FLAG_INIT;

void on_bus_error(int) {
  while (bus_error_told.test_and_set()) ::pause();
  constexpr std::string_view kText =
      "mixtral: a packed model was cut while in use, or its disk cannot read it\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kText.data(), kText.size());
  ::_exit(kExitFailure);
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;  // without SA_RESTART: a read at the prompt must return
  sigaction(SIGINT, &action, nullptr);
}

std::atomic<bool>& interrupted() { return interrupt_flag; }

void clean_up_on_signals() {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction old {};
    sigaction(number, nullptr, &old);
    if (old.sa_handler != SIG_IGN) std::signal(number, on_end);  // nohup stays in force
  }
}

void explain_bus_errors() { std::signal(SIGBUS, on_bus_error); }

void end_by_signal() {
  if (ending_signal != 0) std::raise(ending_signal);
}

}  // namespace mixtral
