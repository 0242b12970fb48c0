#include "interrupt.h"

#include <semaphore.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>
#include <string_view>

#include "app_context.h"
#include "io/file.h"

namespace mixtral {
namespace {

std::atomic<bool> interrupt_flag = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may set it");

void on_interrupt(int) { interrupt_flag = true; }

std::atomic<int> n_end_signals = 0;
sem_t end_signal_came;  // posted by the handler, which may do little else

void on_counted_end(int) {
  ++n_end_signals;
  ::sem_post(&end_signal_came);
}

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

void count_end_signals() {
  ::sem_init(&end_signal_came, 0, 0);
  struct sigaction action {};
  action.sa_handler = on_counted_end;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

int wait_for_end_signals(int n_seen, std::chrono::milliseconds at_most) {
  const auto until = std::chrono::system_clock::now().time_since_epoch() + at_most;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(until);
  timespec deadline{};
  deadline.tv_sec = seconds.count();
  deadline.tv_nsec = std::chrono::nanoseconds(until - seconds).count();
  while (n_end_signals <= n_seen) {
    if (::sem_timedwait(&end_signal_came, &deadline) != 0 && errno != EINTR) break;
  }
  return n_end_signals;
}

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
