// SPDX-License-Identifier: Apache-2.0
#include "daemon/health/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace remora {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kStep = kSecond / 20;

// Records what it is asked to do.
class Notes : public Prober {
 public:
  void start(std::uint64_t id, const Endpoint& to) override {
    started.push_back({id, to_string(to.address)});
    under_way.insert(id);
  }
  void end(std::uint64_t id) override { under_way.erase(id); }
  bool has_left(std::uint64_t) const override { return lets_out; }

  std::vector<std::pair<std::uint64_t, std::string>> started;
  std::set<std::uint64_t> under_way;
  bool lets_out = true;
};

class CheckScheduleTest : public testing::Test {
 protected:
  CheckTarget target(int real, std::uint16_t port = 1883) {
    return {"g", real_at(real), *Address::parse("10.1.50.200"), port};
  }
  static Address real_at(int real) { return *Address::parse("10.1.3." + std::to_string(real)); }

  void use(int reals, std::vector<std::uint16_t> ports = {1883},
           HealthState::Life guess = HealthState::Life::kAlive) {
    std::map<CheckTarget, Address> targets;
    for (int real = 1; real <= reals; ++real) {
      for (const std::uint16_t port : ports) {
        targets.emplace(target(real, port), *Address::parse("198.18." + std::to_string(port % 256) +
                                                            "." + std::to_string(real)));
      }
    }
    schedule.use(
        &notes, targets, {4 * kSecond, 2 * kSecond, {2, 2}},
        [=](const CheckTarget&) { return guess; }, now);
  }

  void run(std::uint64_t for_ns) {
    for (const std::uint64_t until = now + for_ns; now < until;) {
      now += kStep;
      schedule.step(now);
    }
  }

  // Runs one check of each target, which ends at once with the result good(address).
  template <class Good>
  void round(Good good) {
    for (const std::uint64_t until = now + 4 * kSecond - kStep; now < until;) {
      const std::size_t before = notes.started.size();
      now += kStep;
      schedule.step(now);
      for (std::size_t i = before; i < notes.started.size(); ++i) {
        const auto [id, address] = notes.started[i];
        notes.under_way.erase(id);
        schedule.finish(id, {good(address), address}, now);
      }
    }
  }

  std::uint64_t now = 100 * kSecond;
  std::vector<std::string> news;
  bool is_in_order = true;
  int asked = 0;
  Notes notes;
  CheckSchedule schedule{{
      .on_dead = [this](const std::string&,
                        const Address& real) { news.push_back("dead " + to_string(real)); },
      .on_alive = [this](const std::string&,
                         const Address& real) { news.push_back("alive " + to_string(real)); },
      .is_host_in_order =
          [this] {
            ++asked;
            if (!is_in_order) schedule.abandon();
            return is_in_order;
          },
  }};
};

TEST_F(CheckScheduleTest, AHostThatCannotAskKillsNobody) {
  use(3);
  for (std::size_t i = 0, rounds = 0; rounds < 200; ++rounds) {
    now += kSecond / 4;
    schedule.step(now);
    for (; i < notes.started.size(); ++i)
      schedule.finish(notes.started[i].first, {false, "Too many open files", true}, now);
  }
  EXPECT_GT(notes.started.size(), 30U) << "it is tried again";
  EXPECT_EQ(news, std::vector<std::string>());
}

// A firewall on this host drops the checks.
TEST_F(CheckScheduleTest, ChecksThatDoNotGetOutKillNobody) {
  notes.lets_out = false;
  use(2);
  run(40 * kSecond);
  EXPECT_GT(notes.started.size(), 15U) << "it is tried again";
  EXPECT_EQ(news, std::vector<std::string>());

  notes.lets_out = true;
  run(20 * kSecond);
  EXPECT_EQ(news.size(), 2U);
}

// Another tool had taken programs off the interface; the daemon finds out when a check fails.
TEST_F(CheckScheduleTest, AHostThatIsNotInOrderKillsNobody) {
  is_in_order = false;
  use(2);
  const auto all_fail = [](const std::string&) { return false; };
  for (int i = 0; i < 5; ++i) round(all_fail);
  run(20 * kSecond);  // timeouts
  EXPECT_EQ(news, std::vector<std::string>());
  EXPECT_GT(asked, 10);

  is_in_order = true;
  for (int i = 0; i < 2; ++i) round(all_fail);
  EXPECT_EQ(news.size(), 2U);
  asked = 0;
  for (int i = 0; i < 2; ++i) round([](const std::string&) { return true; });
  EXPECT_EQ(asked, 0) << "successes need no excuse";
}

TEST_F(CheckScheduleTest, ChecksThatAreAbandonedSayNothing) {
  use(2);
  for (int i = 0; i < 10; ++i) {
    run(2 * kSecond - 2 * kStep);  // just below the timeout
    schedule.abandon();
  }
  EXPECT_TRUE(notes.under_way.empty());
  EXPECT_EQ(news, std::vector<std::string>());
}

TEST_F(CheckScheduleTest, SpreadsTheChecksOverTheInterval) {
  use(4);
  std::vector<std::size_t> after_each_second;
  for (int i = 0; i < 8; ++i) {
    run(kSecond - kStep);
    after_each_second.push_back(notes.started.size());
    for (const std::uint64_t id : std::set(notes.under_way)) schedule.finish(id, {true, ""}, now);
    run(kStep);
  }
  EXPECT_EQ(after_each_second, (std::vector<std::size_t>{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(notes.started[0].second, notes.started[4].second);
}

TEST_F(CheckScheduleTest, WhatTakesTooLongHasFailed) {
  use(1);
  run(2 * kSecond);
  EXPECT_EQ(notes.under_way.size(), 1u);
  run(2 * kStep);
  EXPECT_TRUE(notes.under_way.empty()) << "it was ended";
  EXPECT_EQ(schedule.find("g", real_at(1))->last().what, "no answer within 2 s");
  schedule.finish(1, {true, "too late"}, now);
  EXPECT_FALSE(schedule.find("g", real_at(1))->last().good);
  run(4 * kSecond);
  EXPECT_EQ(news, std::vector<std::string>{"dead 10.1.3.1"});
}

TEST_F(CheckScheduleTest, ARealThatDiesAndComesBackIsReportedOnce) {
  use(2);
  const auto first_fails = [](const std::string& address) { return !address.ends_with(".1"); };
  const auto all_good = [](const std::string&) { return true; };
  for (int i = 0; i < 4; ++i) round(first_fails);
  EXPECT_EQ(news, std::vector<std::string>{"dead 10.1.3.1"});
  EXPECT_TRUE(schedule.is_dead("g", real_at(1)));
  EXPECT_FALSE(schedule.is_dead("g", real_at(2)));
  for (int i = 0; i < 4; ++i) round(all_good);
  EXPECT_EQ(news, (std::vector<std::string>{"dead 10.1.3.1", "alive 10.1.3.1"}));
}

TEST_F(CheckScheduleTest, OneDeadServiceIsEnough) {
  use(1, {1883, 1884});  // 198.18.91.1, 198.18.92.1
  const auto failing = [](std::string which) {
    return [which](const std::string& address) { return !address.starts_with(which); };
  };
  for (int i = 0; i < 2; ++i) round(failing("198.18.91."));
  EXPECT_EQ(news.size(), 1u);
  for (int i = 0; i < 2; ++i) round(failing("198.18."));
  for (int i = 0; i < 2; ++i) round(failing("198.18.92."));
  EXPECT_EQ(news.size(), 1u) << "the other one is dead now";
  EXPECT_EQ(schedule.find("g", real_at(1))->last().what, "198.18.92.1");
  for (int i = 0; i < 2; ++i) round(failing("nothing"));
  EXPECT_EQ(news, (std::vector<std::string>{"dead 10.1.3.1", "alive 10.1.3.1"}));
}

// The results waited in the queue while the loop stood still.
TEST_F(CheckScheduleTest, APauseOfTheLoopIsNoFailure) {
  use(1);
  run(kSecond);
  ASSERT_EQ(notes.under_way.size(), 1u);
  now += 30 * kSecond;
  schedule.step(now);
  EXPECT_EQ(notes.under_way.size(), 1u);
  schedule.finish(1, {true, "late"}, now);
  schedule.step(now);
  EXPECT_TRUE(schedule.find("g", real_at(1))->last().good);
  EXPECT_EQ(notes.started.size(), 2u) << "one in place of all that were missed";
}

TEST_F(CheckScheduleTest, AReloadKeepsWhatIsKnown) {
  use(2);
  round([](const std::string&) { return false; });
  round([](const std::string&) { return false; });
  ASSERT_EQ(news.size(), 2u);
  run(2 * kSecond);
  const auto under_way = notes.under_way;
  ASSERT_FALSE(under_way.empty());

  use(3);

  EXPECT_TRUE(notes.under_way.empty()) << "given up";
  for (const std::uint64_t id : under_way) schedule.finish(id, {true, ""}, now);
  EXPECT_TRUE(schedule.is_dead("g", real_at(1)));
  EXPECT_FALSE(schedule.is_dead("g", real_at(3)));
  use(1);
  EXPECT_EQ(schedule.find("g", real_at(2)), nullptr);
  schedule.use(nullptr, {}, {}, {}, now);
  run(10 * kSecond);
  EXPECT_EQ(schedule.find("g", real_at(1)), nullptr);
  EXPECT_EQ(news.size(), 2u);
}

TEST_F(CheckScheduleTest, WhatWasDeadBeforeMustShowThatItLives) {
  use(1, {1883}, HealthState::Life::kDead);
  EXPECT_TRUE(schedule.is_dead("g", real_at(1)));
  EXPECT_TRUE(news.empty());
  round([](const std::string&) { return true; });
  EXPECT_TRUE(news.empty());
  round([](const std::string&) { return true; });
  EXPECT_EQ(news, std::vector<std::string>{"alive 10.1.3.1"});
}

}  // namespace
}  // namespace remora
