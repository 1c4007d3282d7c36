// SPDX-License-Identifier: Apache-2.0
#include "tests/support/tcp_path.h"

#include <algorithm>

namespace remora {
namespace {

std::size_t draw_from(std::size_t least, std::size_t most, std::mt19937& random) {
  return std::uniform_int_distribution<std::size_t>(least, std::max(least, most))(random);
}

// The approximate limit of segments per stream.
constexpr std::size_t kMostSegments = 3000;
// The most segments that can overtake one segment.
constexpr std::size_t kLate = 8;

// Chooses the length of the next segment, in the same manner for a whole stream.
class Lengths {
 public:
  Lengths(std::size_t stream_length, std::size_t mss, std::mt19937& random)
      : random_(random),
        least_(std::min(mss, stream_length / kMostSegments + 1)),
        most_(mss),
        manner_(draw_from(0, 3, random)) {
    if (manner_ == 1) most_ = draw_from(least_, mss, random);
    if (manner_ == 2) most_ = std::min(mss, least_ + draw_from(0, 10, random));
  }

  std::size_t next() {
    if (manner_ == 0) return most_;  // full segments
    if (manner_ == 3 && draw_from(0, 1, random_) == 0) return most_;
    if (manner_ == 3)  // small writes among big ones
      return draw_from(least_, std::min(most_, least_ + 40), random_);
    return draw_from(least_, most_, random_);
  }

 private:
  std::mt19937& random_;
  std::size_t least_, most_, manner_;
};

}  // namespace

std::vector<std::size_t> random_cuts(std::size_t stream_length, std::size_t mss,
                                     std::mt19937& random) {
  Lengths lengths(stream_length, mss, random);
  std::vector<std::size_t> cuts;
  for (std::size_t at = lengths.next(); at < stream_length; at += lengths.next())
    cuts.push_back(at);
  return cuts;
}

std::vector<Piece> in_order(const Bytes& stream, std::uint32_t first_seq, std::size_t mss,
                            std::mt19937& random) {
  Lengths lengths(stream.size(), mss, random);
  const std::size_t repeats = draw_from(0, 3, random);  // tenths
  std::vector<Piece> pieces;
  for (std::size_t sent = 0; sent < stream.size();) {
    std::size_t begin = sent;
    std::size_t end = std::min(stream.size(), sent + lengths.next());
    if (sent > 0 && draw_from(0, 9, random) < repeats) {
      switch (draw_from(0, 3, random)) {
        case 0:
          pieces.push_back({first_seq + static_cast<std::uint32_t>(sent) - 1, {0}});
          continue;
        case 1:
          pieces.push_back(Piece(pieces[draw_from(0, pieces.size() - 1, random)]));
          continue;
        default:  // repeats an earlier place, and perhaps goes on further than before
          begin = sent - std::min(sent, draw_from(1, 2 * mss, random));
          end = std::min(stream.size(), begin + draw_from(1, mss, random));
          pieces.push_back(piece_of(stream, first_seq, begin, end));
          continue;
      }
    }
    pieces.push_back(piece_of(stream, first_seq, begin, end));
    sent = end;
  }
  return pieces;
}

Path::Path(const Bytes& stream, std::uint32_t first_seq, const PathOptions& options,
           std::mt19937& random)
    : stream_(stream),
      first_seq_(first_seq),
      options_(options),
      random_(random),
      ends_(random_cuts(stream.size(), options.mss, random)) {
  if (!options.writes.empty()) cut_at_writes();
  ends_.push_back(stream.size());
  // The bytes that are sent alone end with their segment.
  if (options.alone > 0 && options.alone < stream.size()) {
    const auto place = std::lower_bound(ends_.begin(), ends_.end(), options.alone);
    if (*place != options.alone) ends_.insert(place, options.alone);
  }
  has_.resize(ends_.size());
  waits_.resize(ends_.size());
}

void Path::cut_at_writes() {
  ends_.clear();
  for (const std::size_t end : options_.writes) {
    const std::size_t begin = ends_.empty() ? 0 : ends_.back();
    for (std::size_t at = begin + options_.mss; at < end; at += options_.mss) ends_.push_back(at);
    if (end > begin && end < stream_.size()) ends_.push_back(end);
  }
  const std::size_t begin = ends_.empty() ? 0 : ends_.back();
  for (std::size_t at = begin + options_.mss; at < stream_.size(); at += options_.mss)
    ends_.push_back(at);
}

bool Path::happens(double probability) {
  return std::bernoulli_distribution(probability)(random_);
}

std::size_t Path::draw(std::size_t least, std::size_t most) {
  return draw_from(least, most, random_);
}

// Tells the client what the broker has.
void Path::acknowledge() {
  if (latest_ && latest_->begin <= acked_) acked_ = std::max(acked_, latest_->end);
  if (missing_ < ends_.size()) acked_ = std::max(acked_, begin_of(missing_));
  latest_.reset();
}

std::optional<Piece> Path::next() {
  acknowledge();
  brought_.reset();
  while (missing_ < ends_.size() || !in_flight_.empty()) {
    const auto first = in_flight_.begin();
    if (first != in_flight_.end() && first->first <= now_) {
      const Arrival arrival = first->second;
      in_flight_.erase(first);
      return arrive(arrival);
    }
    transmit();
    now_++;
  }
  return std::nullopt;
}

void Path::cut(std::size_t end) {
  if (latest_) latest_->end = std::min(latest_->end, end);
  if (!brought_ || end >= ends_[*brought_]) return;
  const std::optional<Arrival> got = latest_;
  dropped();
  latest_ = got;
}

void Path::dropped() {
  latest_.reset();
  if (!brought_) return;
  has_[*brought_] = false;
  missing_ = std::min(missing_, *brought_);
  send_again_later(*brought_);
  brought_.reset();
}

bool Path::may_send_new() const {
  if (unsent_ == ends_.size()) return false;
  const std::size_t window = begin_of(missing_) < options_.alone ? 1 : options_.window;
  return unsent_ - missing_ < window;
}

// Sends lost segments again before new ones.
void Path::transmit() {
  if (!again_.empty() && again_.begin()->first <= now_) {
    const std::size_t segment = again_.begin()->second;
    again_.erase(again_.begin());
    waits_[segment] = false;
    send_again(segment);
  } else if (may_send_new()) {
    const std::size_t segment = unsent_++;
    send(segment, begin_of(segment), ends_[segment]);
  }
}

void Path::send(std::size_t segment, std::size_t begin, std::size_t end) {
  if (happens(options_.loss)) return send_again_later(segment);
  if (begin_of(segment) >= options_.alone && happens(options_.bypass)) {
    has_[segment] = true;
    while (missing_ < ends_.size() && has_[missing_]) missing_++;
    return;
  }
  const std::size_t late = happens(options_.reordering) ? draw(1, kLate) : 0;
  in_flight_.emplace(now_ + late, Arrival{segment, begin, end});
  if (happens(options_.duplication))
    in_flight_.emplace(now_ + draw(1, options_.window), Arrival{segment, begin, end});
}

void Path::send_again(std::size_t segment) {
  std::size_t begin = begin_of(segment), end = ends_[segment];
  if (options_.other_boundaries && happens(0.5)) {
    // A repeat may include bytes around the segment that were sent before.
    const std::size_t room = options_.mss - (end - begin);
    const std::size_t in_front = std::min(begin, draw(0, room));
    begin -= in_front;
    end = std::min(ends_[unsent_ - 1], end + draw(0, room - in_front));
  } else if (acked_ < end) {
    begin = std::max(begin, acked_);
  }
  send(segment, begin, end);
}

void Path::send_again_later(std::size_t segment) {
  if (waits_[segment]) return;
  waits_[segment] = true;
  again_.emplace(now_ + options_.window + draw(3, options_.window), segment);
}

Piece Path::arrive(const Arrival& arrival) {
  latest_ = arrival;
  if (!has_[arrival.segment]) {
    if (happens(options_.loss_behind)) {
      latest_.reset();
      send_again_later(arrival.segment);
    } else {
      has_[arrival.segment] = true;
      brought_ = arrival.segment;
      while (missing_ < ends_.size() && has_[missing_]) missing_++;
    }
  }
  return piece_of(stream_, first_seq_, arrival.begin, arrival.end);
}

}  // namespace remora
