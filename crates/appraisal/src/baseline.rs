//! The provider's security baseline: what it accepts of genuine evidence before any policy runs.

use evidence::dcap::{TcbStatus, TcbVerdict};
use evidence::verdict::{Check, CheckValue, Explain, Rejection, Rule, Verdict};
use time::{Duration, OffsetDateTime};

use crate::settings::Settings;

/// What a provider accepts. Everything here is a fact of verified evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    /// TCB statuses that pass. [`TcbStatus::Revoked`] never does: such evidence is not genuine.
    pub accepted_tcb_statuses: Vec<TcbStatus>,
    /// Oldest endorsements that pass, in days since they were issued; none means until they expire.
    pub max_endorsement_age_days: Option<u32>,
    /// Lowest `tcbEvaluationDataNumber` that passes under `azuredefault`.
    pub min_tcb_evaluation: Option<u32>,
}

/// Which rule of the baseline was broken. The attester's platform, or our operator, must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaselineError {
    /// The endorsements were issued longer ago than the provider allows.
    #[error(
        "the endorsements were issued {age_days} days ago and this provider accepts {max_days}; \
         refresh them, or raise `max_endorsement_age_days`"
    )]
    EndorsementsTooOld {
        /// Whole days since the oldest of them was issued.
        age_days: i64,
        /// The provider's limit.
        max_days: u32,
    },
    /// The endorsements belong to an older TCB recovery than required.
    #[error(
        "the endorsements have tcbEvaluationDataNumber {found} and {required} is required; \
         provide endorsements of the newer TCB recovery"
    )]
    EvaluationNumberTooLow {
        /// The number of the endorsements used.
        found: u32,
        /// What the policy or the provider asks.
        required: u32,
    },
    /// The platform's TCB status is not among the accepted ones.
    #[error("the TCB status of the platform is `{}`, which this provider does not accept", found.as_str())]
    TcbStatusNotAccepted {
        /// The converged status.
        found: TcbStatus,
        /// What the provider accepts.
        accepted: Vec<TcbStatus>,
    },
}

impl Default for Baseline {
    /// Accepts every status that needs no update of microcode or enclaves.
    fn default() -> Self {
        Self {
            accepted_tcb_statuses: vec![
                TcbStatus::UpToDate,
                TcbStatus::SwHardeningNeeded,
                TcbStatus::ConfigurationNeeded,
                TcbStatus::ConfigurationAndSwHardeningNeeded,
            ],
            max_endorsement_age_days: None,
            min_tcb_evaluation: None,
        }
    }
}

impl Baseline {
    /// Compares a verified TCB with the baseline, one check after the other:
    ///
    /// 1. `baseline.tcb.evaluation`: the endorsements' evaluation data number is high enough.
    /// 2. `baseline.tcb.status`: the converged status is accepted.
    /// 3. `baseline.endorsements.age`: the endorsements are young enough.
    ///
    /// # Errors
    /// The first rule that is broken, with `verdict` ending in it.
    pub(crate) fn appraise(
        &self,
        tcb: &TcbVerdict,
        settings: &Settings,
        now: OffsetDateTime,
        mut verdict: Verdict,
    ) -> Result<Verdict, Rejection<BaselineError>> {
        if let Some(required) = settings.tcb_baseline.minimum(self.min_tcb_evaluation) {
            let found = tcb.evaluation_data_number;
            if found < required {
                return Err(Rejection::new(
                    BaselineError::EvaluationNumberTooLow { found, required },
                    verdict,
                ));
            }
            verdict.push(Check::passed(TCB_EVALUATION, at_least(required), found));
        }
        if !self.accepted_tcb_statuses.contains(&tcb.status) {
            let accepted = self.accepted_tcb_statuses.clone();
            return Err(Rejection::new(
                BaselineError::TcbStatusNotAccepted { found: tcb.status, accepted },
                verdict,
            ));
        }
        verdict.push(Check::passed(
            TCB_STATUS,
            status_list(&self.accepted_tcb_statuses),
            tcb.status.as_str(),
        ));
        if let Some(max_days) = self.max_endorsement_age_days {
            let age_days = days_begun(now - tcb.issued_at);
            if age_days > i64::from(max_days) {
                return Err(Rejection::new(
                    BaselineError::EndorsementsTooOld { age_days, max_days },
                    verdict,
                ));
            }
            verdict.push(Check::passed(ENDORSEMENT_AGE, at_most(max_days), CheckValue::Integer(age_days)));
        }
        Ok(verdict)
    }
}

impl Explain for BaselineError {
    fn check(&self) -> Check {
        match self {
            Self::EndorsementsTooOld { age_days, max_days } => {
                Check::failed(ENDORSEMENT_AGE, at_most(*max_days), CheckValue::Integer(*age_days))
            }
            Self::EvaluationNumberTooLow { found, required } => {
                Check::failed(TCB_EVALUATION, at_least(*required), *found)
            }
            Self::TcbStatusNotAccepted { found, accepted } => {
                Check::failed(TCB_STATUS, status_list(accepted), found.as_str())
            }
        }
    }
}

/// Days, a begun one counted whole: seven days and an hour are more than seven.
fn days_begun(age: Duration) -> i64 {
    let whole = age.whole_days();
    if age > Duration::days(whole) { whole.saturating_add(1) } else { whole }
}

fn at_least(number: u32) -> CheckValue {
    format!("at least {number}").into()
}

fn at_most(days: u32) -> CheckValue {
    format!("at most {days} days").into()
}

fn status_list(statuses: &[TcbStatus]) -> CheckValue {
    CheckValue::List(statuses.iter().map(|status| status.as_str().into()).collect())
}

const SECTION: &str = "Vouchsafe baseline";
const ENDORSEMENT_AGE: Rule = Rule { id: "baseline.endorsements.age", section: SECTION };
const TCB_EVALUATION: Rule = Rule { id: "baseline.tcb.evaluation", section: SECTION };
const TCB_STATUS: Rule = Rule { id: "baseline.tcb.status", section: SECTION };
