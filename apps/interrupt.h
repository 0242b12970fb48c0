// Ctrl-C as a flag: the answer ends, the program goes on.
#pragma once

#include <atomic>

namespace mixtral {

/// From here on SIGINT sets interrupted() instead of ending the program. Blocking reads return
/// early.
void catch_interrupts();
std::atomic<bool>& interrupted();

}  // namespace mixtral
