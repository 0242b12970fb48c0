// What signals do: Ctrl-C ends an answer and not the program, and files are not left half written.
#pragma once

#include <atomic>
#include <chrono>

namespace mixtral {

/// From here on SIGINT sets interrupted() instead of ending the program. Blocking reads return
/// early.
void catch_interrupts();
std::atomic<bool>& interrupted();

/// From here on SIGINT and SIGTERM are counted instead of ending the program.
void count_end_signals();
/// How many have come; waits up to that long for one more than `n_seen`.
int wait_for_end_signals(int n_seen, std::chrono::milliseconds at_most);

/// From here on a signal that ends the program first lets files that are being written go away. A
/// second one ends it at once.
void clean_up_on_signals();
/// Packed models are memory whose pages come from their file: where it has none, or the disk cannot
/// give it, touching one is a signal. From here on that is a message and exit code 1.
void explain_bus_errors();
/// Ends the program by the signal that it was to end by, if there was one.
void end_by_signal();

}  // namespace mixtral
