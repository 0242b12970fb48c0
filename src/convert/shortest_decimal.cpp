#include "convert/shortest_decimal.h"

#include <charconv>

namespace mixtral {

double shortest_decimal(float value) {
  char text[32];
  const char* end = std::to_chars(text, text + sizeof text, value).ptr;
  double result = value;
  std::from_chars(text, end, result);
  return result;
}

}  // namespace mixtral
